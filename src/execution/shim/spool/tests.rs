//! Tests that a spool keeps exactly the first and the last bytes, however they arrive.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn place(directory: &TempDir) -> PathBuf {
    directory.path().join("12.1.output")
}

/// Returns the content of a spool after output in these pieces.
fn kept(pieces: &[&[u8]], head: u64, tail: u64) -> Kept {
    let directory = directory();
    let mut spool = Spool::new(&place(&directory), head, tail);
    for piece in pieces {
        spool.write(piece);
    }
    read(&place(&directory)).expect("a spool")
}

#[test]
fn no_file_is_no_output() {
    let directory = directory();
    assert_eq!(read(&place(&directory)).expect("nothing"), Kept::default());
}

#[test]
fn the_file_is_made_with_the_first_byte_and_for_us_alone() {
    let directory = directory();
    let mut spool = Spool::new(&place(&directory), 10, 40);
    assert!(!place(&directory).exists());
    spool.write(b"x");
    let mode = fs::metadata(place(&directory)).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn little_output_is_kept_whole() {
    let kept = kept(&[b"hello\n", b"world\n"], 10, 40);
    assert_eq!((kept.head.as_slice(), kept.tail.as_slice()), (b"hello\nworl".as_slice(), b"d\n".as_slice()));
    assert_eq!((kept.between, kept.total), (0, 12));
}

#[test]
fn of_much_output_the_middle_is_counted() {
    let kept = kept(&[b"0123456789abcdefghij"], 2, 5);
    assert_eq!((kept.head.as_slice(), kept.tail.as_slice()), (b"01".as_slice(), b"fghij".as_slice()));
    assert_eq!((kept.between, kept.total), (13, 20));
}

#[test]
fn every_write_can_be_seen_at_once() {
    let directory = directory();
    let path = place(&directory);
    let mut spool = Spool::new(&path, 3, 4);
    let mut output = Vec::new();
    for byte in b'a'..=b'z' {
        spool.write(&[byte]);
        output.push(byte);
        let kept = read(&path).expect("a spool");
        assert_eq!(kept.total, output.len() as u64);
        assert_eq!(kept.tail.last().or(kept.head.last()), Some(&byte));
    }
}

#[test]
fn the_disk_holds_no_more_than_head_tail_and_header() {
    let directory = directory();
    let mut spool = Spool::new(&place(&directory), 100, 400);
    for _ in 0..1000 {
        spool.write(&[b'x'; 777]);
    }
    assert_eq!(fs::metadata(place(&directory)).expect("a file").len(), HEADER + 500);
    assert_eq!(spool.written(), 777_000);
}

#[test]
fn a_file_that_is_none_of_ours_is_refused() {
    let directory = directory();
    fs::write(place(&directory), [b'x'; 100]).expect("a file");
    let refused = read(&place(&directory)).expect_err("no spool");
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn a_file_that_a_crash_left_without_its_header_is_no_output() {
    let directory = directory();
    for length in [0, 7, 31] {
        fs::write(place(&directory), &[0; 31][..length]).expect("a file");
        assert_eq!(read(&place(&directory)).expect("nothing"), Kept::default());
    }
}

#[test]
fn a_header_that_promises_more_than_there_is_is_refused() {
    let directory = directory();
    for (head, ring, total) in [
        (10, 40, 20),
        (u64::MAX, 40, u64::MAX),
        (10, u64::MAX, u64::MAX),
        (0, u64::MAX / 2, u64::MAX),
        (u64::MAX, u64::MAX, 5),
    ] {
        fs::write(place(&directory), header(head, ring, total)).expect("a file");
        assert!(read(&place(&directory)).is_err(), "{head} {ring} {total}");
    }
}

#[test]
fn a_disk_that_takes_nothing_does_not_stop_the_script() {
    let directory = directory();
    let mut spool = Spool::new(&directory.path().join("no/such/directory"), 10, 40);
    spool.write(b"hello\n");
    spool.write(b"world\n");
    assert_eq!(spool.written(), 12);
}

#[test]
fn a_directory_in_its_place_is_an_error() {
    let directory = directory();
    assert!(read(directory.path()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_first_and_the_last_bytes_are_kept_exactly(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..12),
        head in 0..50_u64, tail in 0..50_u64,
    ) {
        let whole = pieces.concat();
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let kept = kept(&pieces, head, tail);
        let (head, tail) = (usize::try_from(head).expect("small"), usize::try_from(tail).expect("small"));
        let (first, rest) = whole.split_at(head.min(whole.len()));
        let last = &rest[rest.len().saturating_sub(tail)..];
        prop_assert_eq!(kept.total, whole.len() as u64);
        prop_assert_eq!(kept.head, first);
        prop_assert_eq!(kept.tail, last);
        prop_assert_eq!(kept.between, (rest.len() - last.len()) as u64);
    }

    #[test]
    fn any_file_is_a_spool_or_refused(numbers in any::<[u64; 3]>(), rest in proptest::collection::vec(any::<u8>(), 0..100)) {
        let directory = directory();
        let [head, ring, total] = numbers;
        fs::write(place(&directory), [header(head, ring, total).as_slice(), &rest].concat()).expect("a file");
        let _ = read(&place(&directory));
    }

    #[test]
    fn any_small_numbers_in_a_header_are_a_spool_or_refused(
        head in 0..50_u64, ring in 0..50_u64, total in 0..200_u64, rest in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let directory = directory();
        fs::write(place(&directory), [header(head, ring, total).as_slice(), &rest].concat()).expect("a file");
        if let Ok(kept) = read(&place(&directory)) {
            prop_assert_eq!(kept.head.len() as u64 + kept.between + kept.tail.len() as u64, total);
        }
    }
}
