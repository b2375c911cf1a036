//! Tests that a spare file is used only where it is exclusive and empty, and that a script never replaces another.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use tempfile::TempDir;

use super::*;

/// Returns the files of scripts with one spare file, and the path of the next script.
fn files(spare: &str) -> (TempDir, ScriptFiles, PathBuf, PathBuf) {
    let state = tempfile::tempdir().expect("a folder");
    let files = ScriptFiles::new(state.path());
    let kept = files.spare_of(Path::new("/tmp/job-runner-1.1-ab")).expect("a place");
    fs::write(&kept, spare).expect("a file");
    fs::set_permissions(&kept, Permissions::from_mode(0o600)).expect("our own file");
    files.spares.adopt(kept.clone());
    let script = state.path().join("job-runner-2.1-cd");
    (state, files, kept, script)
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).expect("a file").ino()
}

fn assert_private(script: &Path, content: &str) {
    assert_eq!(fs::read_to_string(script).expect("a file"), content);
    assert_eq!(fs::metadata(script).expect("a file").mode() & 0o7777, 0o600);
}

#[test]
fn a_spare_file_becomes_the_script() {
    let (_state, files, kept, script) = files("");
    let inode_of_spare = inode(&kept);
    files.write(&script, b"new").expect("written");
    assert_private(&script, "new");
    assert_eq!(inode(&script), inode_of_spare);
    assert!(!kept.exists());
    files.write(&script.with_extension("next"), b"next").expect("written without a spare file");
}

#[test]
fn a_spare_file_that_is_in_use_or_not_empty_is_removed_and_a_new_one_is_created() {
    for (spare, holds) in [("", true), ("left", false)] {
        let (_state, files, kept, script) = files(spare);
        let held = File::open(&kept).expect("a file");
        let inode_of_spare = inode(&kept);
        let held = holds.then_some(held);
        files.write(&script, b"new").expect("written");
        assert_private(&script, "new");
        assert!(!kept.exists());
        if let Some(held) = held {
            assert_eq!(held.metadata().expect("open").len(), 0, "what its reader sees is as it was");
            assert_ne!(inode(&script), inode_of_spare);
        }
    }
}

#[test]
fn a_spare_file_that_somebody_removed_costs_nothing() {
    let (_state, files, kept, script) = files("");
    fs::remove_file(kept).expect("removed");
    files.write(&script, b"new").expect("written");
    assert_private(&script, "new");
}

#[test]
fn a_script_replaces_no_file() {
    let (_state, files, _, script) = files("");
    fs::write(&script, "other").expect("a file");
    assert!(files.write(&script, b"new").is_err());
    assert_eq!(fs::read_to_string(&script).expect("a file"), "other");
}

#[test]
fn the_next_worker_starts_without_spare_files() {
    let (state, files, kept, _) = files("what a crash has left");
    std::mem::forget(files);
    drop(ScriptFiles::new(state.path()));
    assert!(!kept.exists());
}
