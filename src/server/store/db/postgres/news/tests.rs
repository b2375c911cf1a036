//! Promises of the payloads.

use std::collections::VecDeque;

use super::{News, PAYLOAD, is_too_long, messages, notification, read, read_messages};
use crate::run::{KillId, RunId};
use crate::server::domain::model::{JobId, WorkerId};
use crate::server::store::changes::Change;

fn payload(statement: &str) -> &str {
    statement.strip_prefix("NOTIFY job_runner, '").unwrap().strip_suffix("'; ").unwrap()
}

#[test]
fn every_change_comes_back_as_it_was_sent() {
    let (run, kill) = (RunId::new(i64::MAX).unwrap(), KillId::new(2).unwrap());
    let changes = vec![
        Change::RunScheduled(run),
        Change::RunWaits(run),
        Change::RunEnqueued(run),
        Change::RunGivenBack(run),
        Change::RunStarted(run),
        Change::RunReturned(run),
        Change::RunLog(run, u64::MAX),
        Change::KillRequested(kill),
        Change::KillTaken(kill),
        Change::KillExecuted(kill),
        Change::JobChanged(JobId::new(3).unwrap()),
        Change::WorkerChanged(WorkerId::new(4).unwrap()),
        Change::CatalogueChanged,
        Change::FarmChanged,
    ];
    let statement = notification(7, &changes);
    assert_eq!(read(payload(&statement)), (Some(7), News::Changes(changes)));
    assert_eq!(notification(7, &[]), "", "nothing is notified of nothing");
}

#[test]
fn more_changes_than_a_payload_takes_are_told_as_too_many() {
    let run = RunId::new(i64::MAX).unwrap();
    for number in [300, 400, 10_000] {
        let statement = notification(i64::MAX, &vec![Change::RunLog(run, u64::MAX); number]);
        let payload = payload(&statement);
        assert!(payload.len() <= PAYLOAD, "{number}");
        let (writer, news) = read(payload);
        assert_eq!((writer, news), (Some(i64::MAX), News::TooMuch), "{number}");
    }
    let statement = notification(i64::MAX, &vec![Change::CatalogueChanged; 3_000]);
    assert!(matches!(read(payload(&statement)).1, News::Changes(changes) if changes.len() == 3_000));
}

#[test]
fn changes_of_a_later_version_are_told_as_too_many() {
    for payload in ["5 z1", "5 s1 q", "5 s", "5 s0", "5 l1", "5 l1.x", "5 ", "5 \u{e9}"] {
        assert_eq!(read(payload), (Some(5), News::TooMuch), "{payload}");
    }
    assert_eq!(read("x s1").0, None);
}

#[test]
fn messages_come_back_in_order_as_many_as_fit_at_a_time() {
    let sent: Vec<String> = (0..100).map(|n| format!("{n} \"'\\ \0 \u{1f600} {}", "x".repeat(200))).collect();
    let mut waiting: VecDeque<String> = sent.iter().cloned().collect();
    let mut heard = Vec::new();
    while !waiting.is_empty() {
        let payload = messages(9, &mut waiting);
        assert!(payload.len() <= PAYLOAD && !payload.contains('\0'));
        let (writer, several) = read_messages(&payload).unwrap();
        assert!(writer == 9 && several.len() > 10, "{}", several.len());
        heard.extend(several);
    }
    assert_eq!(heard, sent);
    for payload in ["", "x", "[]", "[1, 2]", "{}", "[\"a\"]"] {
        assert_eq!(read_messages(payload), None, "{payload}");
    }
}

#[test]
fn a_message_that_fits_into_no_payload_is_told_from_one_that_does() {
    let longest = "x".repeat(PAYLOAD - 19 - 5);
    assert!(!is_too_long(&longest));
    let mut waiting = VecDeque::from([longest.clone()]);
    assert!(messages(i64::MAX, &mut waiting).len() <= PAYLOAD && waiting.is_empty());
    assert!(is_too_long(&format!("{longest}x")));
    assert!(is_too_long(&"\0".repeat(2_000)), "escapes count");
}
