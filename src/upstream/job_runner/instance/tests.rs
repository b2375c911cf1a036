//! Tests of the instance file: an id is kept, and a missing or damaged one is replaced.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{FILE, InstanceOrigin, instance_of};

#[test]
fn a_state_directory_keeps_its_instance_and_another_has_another() {
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (instance, origin) = instance_of(one.path()).expect("an instance");
    assert_eq!(origin, InstanceOrigin::Made);
    assert_eq!(instance_of(one.path()).expect("an instance"), (instance.clone(), InstanceOrigin::Kept));
    assert_ne!(instance_of(other.path()).expect("an instance").0, instance);
    let mode = fs::metadata(one.path().join(FILE)).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_file_that_says_nothing_known_makes_a_new_instance_and_stops_nobody() {
    let directory = tempfile::tempdir().expect("a folder");
    fs::write(directory.path().join(FILE), "garbled").expect("a file");
    let (instance, origin) = instance_of(directory.path()).expect("an instance");
    assert_eq!(origin, InstanceOrigin::Made);
    assert_eq!(instance_of(directory.path()).expect("an instance"), (instance, InstanceOrigin::Kept));
}
