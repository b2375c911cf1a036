//! Tests of what becomes of the file of a script that is over.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::execution::shim::exclusive_file::MODE;

/// Returns a script and the place for its spare file.
fn script() -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let [script, spare] = ["script", "spare"].map(|name| folder.path().join(name));
    fs::write(&script, "#!/bin/sh\necho secret\n").expect("a file");
    fs::set_permissions(&script, fs::Permissions::from_mode(MODE)).expect("our own file");
    (folder, script, spare)
}

#[test]
fn a_file_that_nobody_reads_is_kept_empty() {
    let (_folder, script, spare) = script();
    let inode = fs::metadata(&script).expect("a file").ino();
    assert_eq!(put_away(&script, Some(&spare)), ScriptFate::Kept);
    let kept = fs::metadata(&spare).expect("a file");
    assert_eq!((kept.ino(), kept.len(), kept.mode() & 0o7777), (inode, 0, MODE));
    assert!(!script.exists());
}

#[test]
fn a_file_that_is_still_read_is_removed_and_stays_whole_for_its_reader() {
    let (_folder, script, spare) = script();
    let mut reader = File::open(&script).expect("a file");
    assert_eq!(put_away(&script, Some(&spare)), ScriptFate::Removed);
    assert!(!script.exists() && !spare.exists());
    let mut read = String::new();
    reader.read_to_string(&mut read).expect("the file");
    assert_eq!(read, "#!/bin/sh\necho secret\n");
}

#[test]
fn a_file_with_a_second_name_stays_whole_under_that_name() {
    let (folder, script, spare) = script();
    let copy = folder.path().join("copy");
    fs::hard_link(&script, &copy).expect("a second name");
    assert_eq!(put_away(&script, Some(&spare)), ScriptFate::Removed);
    assert!(!script.exists() && !spare.exists());
    assert_eq!(fs::read_to_string(&copy).expect("the file"), "#!/bin/sh\necho secret\n");
}

#[test]
fn without_a_place_or_without_a_file_there_is_nothing_afterwards() {
    let (_folder, script, spare) = script();
    assert_eq!(put_away(&script, None), ScriptFate::Removed);
    assert_eq!(put_away(&script, Some(&spare)), ScriptFate::Removed);
    assert!(!script.exists() && !spare.exists());
}

#[test]
fn a_place_on_another_file_system_is_asked_for_once() {
    let (_folder, script, _) = script();
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    let device = |path: &Path| fs::metadata(path).expect("it is there").dev();
    if device(elsewhere.path()) == device(&script) {
        return;
    }
    assert_eq!(put_away(&script, Some(&elsewhere.path().join("spare"))), ScriptFate::NeverKept);
    assert!(!script.exists());
}
