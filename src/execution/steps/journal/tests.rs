//! Tests of the journal: it is bounded, its end has room, and what a crash left does not swallow the next line.

use super::*;
use crate::wire::steps::journal;

fn finished(activity: &str) -> JournalLine {
    JournalLine::Finished { activity: activity.to_owned() }
}

#[test]
fn a_journal_stays_bounded_and_has_room_for_the_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let mut written = Journal::open(&path, false).expect("a journal");
    for step in 0..20_000 {
        written.append(&JournalLine::Started { step, name: "echo".to_owned() }).expect("appended");
    }
    written.append(&finished(&"é".repeat(10_000))).expect("appended");
    let bytes = std::fs::read(&path).expect("a journal");
    assert!(bytes.len() as u64 <= MAX_BYTES, "{}", bytes.len());
    assert!(
        matches!(journal(&bytes).last(), Some(JournalLine::Finished { activity }) if activity.len() == MAX_ACTIVITY)
    );
}

#[test]
fn a_line_that_was_cut_short_does_not_swallow_the_next() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    std::fs::write(&path, b"{\"is\":\"fini").expect("written");
    Journal::open(&path, true).and_then(|mut written| written.append(&finished("a"))).expect("appended");
    assert_eq!(journal(&std::fs::read(&path).expect("a journal")), [finished("a")]);
}
