use super::PreTaskChecks;

#[test]
fn paths_that_are_there_hinder_nothing_and_leave_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "kept").unwrap();
    let paths = vec![directory.path().to_owned(), file.clone()];
    assert_eq!(PreTaskChecks { write: paths.clone(), read: paths }.failure(), None);
    assert_eq!(PreTaskChecks::default().failure(), None);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "kept");
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let missing = std::path::PathBuf::from("/nowhere/below");
    let failure = PreTaskChecks { read: vec![missing.clone()], ..PreTaskChecks::default() }.failure().unwrap();
    assert!(failure.starts_with("/nowhere/below cannot be read: "), "{failure}");
    let failure = PreTaskChecks { write: vec![missing], ..PreTaskChecks::default() }.failure().unwrap();
    assert!(failure.starts_with("/nowhere/below cannot be written to: "), "{failure}");
}
