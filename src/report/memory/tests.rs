//! Tests of the worker memory: facts are read as they were written, and a file that cannot be understood means sleep.

use super::*;
use crate::run::RequestId;

#[test]
fn what_is_remembered_is_found_again_and_what_is_damaged_is_sleep() {
    let directory = tempfile::tempdir().unwrap();
    let memory = WorkerMemory::of(directory.path());
    assert_eq!(memory.read(), Remembered::default(), "a worker that was never told anything works");
    let asleep = Remembered { asleep: true, done: RequestId::new(7) };
    memory.write(asleep).unwrap();
    assert_eq!(memory.read(), asleep);
    memory.write(Remembered::default()).unwrap();
    assert_eq!(memory.read(), Remembered::default());
    fs::write(directory.path().join(FILE), "{").unwrap();
    assert!(memory.read().asleep);
    fs::remove_file(directory.path().join(FILE)).unwrap();
    fs::create_dir(directory.path().join(FILE)).unwrap();
    assert!(memory.read().asleep, "nor can it be read");
    assert!(memory.write(asleep).is_err());
}
