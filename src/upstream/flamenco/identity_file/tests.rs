use std::os::unix::fs::PermissionsExt;

use super::{FarmIdentity, IdentityFile, with_values};
use crate::run::Secret;

const NEW: [&str; 2] = ["5ee1", "new"];

#[test]
fn a_file_that_is_empty_or_has_no_such_section_gets_one() {
    let section = "[flamenco-worker]\nworker_id = 5ee1\nworker_secret = new\n";
    assert_eq!(with_values("", NEW), section);
    assert_eq!(with_values("[other]\nworker_id = 1\n", NEW), format!("[other]\nworker_id = 1\n{section}"));
}

#[test]
fn both_keys_change_in_their_places_and_all_other_lines_stay() {
    let before = "# mine\n[other]\nworker_id = 1\n\n[flamenco-worker]\nWorker_Secret: old\n  and more\nmanager_url = \
                  http://farm/\n# id\nworker_id =\n\n[last]\nx = 1\n";
    let after = "# mine\n[other]\nworker_id = 1\n\n[flamenco-worker]\nworker_secret = new\nmanager_url = http://farm/\n\
                 # id\nworker_id = 5ee1\n\n[last]\nx = 1\n";
    assert_eq!(with_values(before, NEW), after);
    assert_eq!(with_values(after, NEW), after, "a second time changes nothing");
}

#[test]
fn keys_that_are_missing_stand_at_the_end_of_the_section() {
    let before = "[flamenco-worker]\nmanager_url = http://farm/\n\n[last]\nx = 1\n";
    let after =
        "[flamenco-worker]\nmanager_url = http://farm/\nworker_id = 5ee1\nworker_secret = new\n\n[last]\nx = 1\n";
    assert_eq!(with_values(before, NEW), after);
}

#[test]
fn the_file_is_readable_for_its_user_alone_and_a_link_to_it_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (path, link) = (directory.path().join("worker.cfg"), directory.path().join("link.cfg"));
    std::fs::write(&path, "[flamenco-worker]\n").unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let identity = FarmIdentity { id: "5ee1".to_owned(), secret: Secret::new(b"new".to_vec()) };
    IdentityFile::new(link.clone()).write(&identity).unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "[flamenco-worker]\nworker_id = 5ee1\nworker_secret = new\n");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}
