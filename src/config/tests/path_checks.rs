//! Tests of the checks that look at the disk.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::super::check_paths;
use super::{assert_mentions, loaded, with};

fn places(scripts: &Path) -> (Vec<String>, Vec<String>) {
    let text = with("script_temp_path", scripts.to_str().expect("text"));
    check_paths(&loaded(text).settings)
}

#[test]
fn a_directory_with_spaces_or_behind_a_link_is_fine() {
    let folder = tempfile::tempdir().expect("a folder");
    let spaced = folder.path().join("some where");
    fs::create_dir(&spaced).expect("a directory");
    let link = folder.path().join("link");
    symlink(&spaced, &link).expect("a link");
    assert_eq!(places(&spaced), (vec![], vec![]));
    assert_eq!(places(&link), (vec![], vec![]));
}

#[test]
fn a_directory_that_is_missing_or_none_is_a_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    assert_mentions(&places(&folder.path().join("missing")).1, &["script_temp_path: ", "No such"]);
    assert_mentions(&places(&file).1, &["script_temp_path: ", "is no directory"]);
}

#[test]
fn a_directory_that_cannot_be_written_to_is_a_mistake() {
    // Not even root can write to `/proc`.
    assert_mentions(&places(Path::new("/proc/self")).1, &["cannot be written to"]);
}

#[test]
fn a_directory_in_which_anybody_can_swap_scripts_is_worth_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("its mode");
    assert_mentions(&places(folder.path()).0, &["is writable by everybody and not sticky"]);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).expect("its mode");
    assert_eq!(places(folder.path()).0, Vec::<String>::new());
}

#[test]
fn a_ca_file_that_cannot_be_read_is_a_mistake() {
    let text = with("ca_file", "/nowhere/ca.pem");
    let (_, mistakes) = check_paths(&loaded(text).settings);
    assert_mentions(&mistakes, &["ca_file: /nowhere/ca.pem cannot be read"]);
}
