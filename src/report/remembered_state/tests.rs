//! Tests of the worker file: facts are read as they were written, and a file that cannot be understood means sleep.

use super::*;
use crate::run::RequestId;

#[test]
fn what_is_remembered_is_found_again_and_what_is_damaged_is_sleep() {
    let directory = tempfile::tempdir().unwrap();
    let file = RememberedStateFile::of(directory.path());
    assert_eq!(file.read(), Remembered::default(), "a worker that was never told anything works");
    let asleep = Remembered { asleep: true, done: RequestId::new(7) };
    file.write(asleep).unwrap();
    assert_eq!(file.read(), asleep);
    file.write(Remembered::default()).unwrap();
    assert_eq!(file.read(), Remembered::default());
    fs::write(directory.path().join(FILE), "{").unwrap();
    assert!(file.read().asleep);
    fs::remove_file(directory.path().join(FILE)).unwrap();
    fs::create_dir(directory.path().join(FILE)).unwrap();
    assert!(file.read().asleep, "nor can it be read");
    assert!(file.write(asleep).is_err());
}
