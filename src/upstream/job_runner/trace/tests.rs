//! Tests of the trace: another worker is noticed once, and unclear answers raise no alarm.

use serde_json::{Value, json};

use super::Trace;

#[test]
fn another_who_answers_pings_with_our_key_is_noticed_once() {
    let at = |minute: u32| Some(json!(format!("2026-11-30T09:{minute:02}:00.000001")));
    let unknown: Option<Value> = None;
    let mut trace = Trace::default();
    assert!(!trace.before_answer(at(0)), "whose answer that was, nobody knows");
    trace.behind_answer(at(5));
    assert!(!trace.before_answer(at(5)));
    // The last answer may have been written or not, so a difference means nothing.
    assert!(!trace.before_answer(at(6)));
    trace.behind_answer(at(7));
    assert!(!trace.before_answer(unknown), "it could not be read");
    trace.behind_answer(at(10));
    assert!(trace.before_answer(at(11)));
    trace.behind_answer(at(15));
    assert!(!trace.before_answer(at(16)), "it was told");
}
