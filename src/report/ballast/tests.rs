//! Tests of the ballast: its size, and the space for it to be created or left out.

use std::os::unix::fs::MetadataExt;

use super::*;

/// Returns the space in bytes that the file takes on the disk; `None` where there is no file.
fn taken(directory: &Path) -> Option<u64> {
    fs::metadata(directory.join("ballast")).ok().map(|file| file.blocks() * 512)
}

#[test]
fn it_takes_real_room_and_gives_it_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut ballast = Ballast::new(directory.path(), 4_000_000);
    assert!(taken(directory.path()).expect("a file") >= 250_000);
    ballast.release();
    assert_eq!(taken(directory.path()), None);
    ballast.restore();
    assert!(taken(directory.path()).is_some());
}

#[test]
fn it_is_not_taken_where_there_is_too_little_room() {
    let directory = tempfile::tempdir().expect("a directory");
    assert!(!Ballast::new(directory.path(), u64::MAX).there);
    assert_eq!(taken(directory.path()), None);
}

#[test]
fn its_size_follows_the_reserve_within_bounds() {
    for (reserve, size) in [(0, SMALLEST), (1 << 21, 1 << 17), (1 << 26, LARGEST), (u64::MAX / 2, LARGEST)] {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(Ballast::new(directory.path(), reserve).size, size, "{reserve}");
    }
}

#[test]
fn what_an_earlier_worker_left_is_its_ballast() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(Ballast::new(directory.path(), 4_000_000));
    // The file is there already, so the lack of space for another one does not matter.
    let mut ballast = Ballast { reserve: u64::MAX, ..Ballast::new(directory.path(), 4_000_000) };
    assert!(ballast.there);
    ballast.restore();
    assert!(taken(directory.path()).is_some());
}
