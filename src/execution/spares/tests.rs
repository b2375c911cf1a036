//! Tests of the number and the names of spare files.

use super::*;

fn files(directory: &Path) -> usize {
    fs::read_dir(directory).expect("a directory").count()
}

#[test]
fn a_file_that_was_put_is_taken_once() {
    let home = tempfile::tempdir().expect("a folder");
    let spares = Spares::new(home.path().join("spares"));
    assert_eq!(spares.take(), None);
    let file = home.path().join("1.1.record");
    fs::write(&file, "{}\n").expect("a file");
    spares.put(&file);
    assert!(!file.exists());
    let spare = spares.take().expect("one");
    assert_eq!(fs::read_to_string(&spare).expect("a file"), "{}\n");
    assert_eq!(spares.take(), None);
    spares.put(&file);
    assert_eq!(spares.take(), None, "there was none");
}

#[test]
fn so_many_are_kept_and_none_stays() {
    let home = tempfile::tempdir().expect("a folder");
    let directory = home.path().join("spares");
    let spares = Spares::new(directory.clone());
    for n in 0..KEPT + 5 {
        let file = home.path().join(n.to_string());
        fs::write(&file, "").expect("a file");
        spares.put(&file);
        assert!(!file.exists());
    }
    assert_eq!(files(&directory), KEPT);
    let taken = spares.take().expect("one");
    drop(spares);
    assert_eq!(files(&directory), 1, "what was taken is the taker's");
    drop(Spares::new(directory.clone()));
    assert!(!taken.exists(), "the next worker clears away");
}
