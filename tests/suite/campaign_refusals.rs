//! Rejections by the campaign's API: never such that a result would be reported without its log.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support;
use crate::support::Call;

#[path = "../campaign/refusal.rs"]
mod rejecting;

use rejecting::{Refusal, Refused};

fn call(path: &str, body: Value) -> Call {
    Call {
        seq: 1,
        at: Instant::now(),
        answered_at: None,
        method: "POST".to_owned(),
        path: path.to_owned(),
        query: String::new(),
        body,
        status: None,
        applied: false,
        connection: 1,
        api_key: String::new(),
        headers: Vec::new(),
    }
}

fn log(text: &str) -> Call {
    call("/api/v1/run_log/", json!({"content": text, "run": "/api/v1/run/7/"}))
}

fn result() -> Call {
    call("/api/v1/run/7/", json!({"return_dts": "2026-11-30T10:00:00"}))
}

#[test]
fn the_last_log_is_taken_whichever_way_it_ends() {
    let whole = "line 1 of 7\nline 2 of 7\n";
    let lost = "line 1 of 7\n[job runner worker] The run was lost 3 times.\n";
    // Where the server has said that it is too large, little is left of it.
    let cut = "\n\n[truncated]\n\n";
    for (text, wanted) in [("line 1 of 7\n", true), (whole, false), (lost, false), (cut, false)] {
        assert_eq!(Refusal::new(Refused::LiveLog, 2).catches(&log(text), 7), wanted, "{text:?}");
    }
}

#[test]
fn a_result_is_rejected_as_often_as_it_was_planned() {
    let mut refusal = Refusal::new(Refused::Result(2), 2);
    let rejected: Vec<bool> = (0..4).map(|_| refusal.catches(&result(), 7)).collect();
    assert_eq!((rejected, refusal.is_of_everything()), (vec![true, true, false, false], false));
}

#[test]
fn no_result_is_accepted_while_its_log_was_rejected() {
    let mut refusal = Refusal::new(Refused::Everything(0), 2);
    assert!(refusal.is_of_everything());
    refusal.is_rejected_anyhow(&result());
    assert!(!refusal.catches(&result(), 7));
    assert!(!refusal.catches(&log("line 1 of 7\n"), 7));
    refusal.is_rejected_anyhow(&log("line 1 of 7\n"));
    assert!(refusal.catches(&result(), 7), "its log is still to be told");
    assert!(!refusal.catches(&log("line 1 of 7\n"), 7));
    assert!(!refusal.catches(&result(), 7));
}
