//! Tests of the log lines: one event in each of the three formats, with values that try to be something else.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::run::RunId;

/// Text that a job, a file or a server could put into a value.
const HOSTILE: &str = "a\n2026-01-01T00:00:00.000Z ERROR x: forged run=7\r\u{1b}[31m \"q\\\" \u{2028}é";

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns what is written in a format for the events of a function.
fn written(format: LogFormat, events: impl FnOnce()) -> String {
    let written = Written::default();
    let writer = written.clone();
    let layer = tracing_subscriber::fmt::layer().event_format(Lines(format)).with_writer(move || writer.clone());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), events);
    let bytes = written.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn claim_fails() {
    let error = io::Error::other("no answer");
    tracing::warn!(
        target: "job_runner_worker.runner",
        run = %RunId::new(5).unwrap(),
        attempt = 2,
        wait_s = 0.5,
        worker = "007",
        known = true,
        error = %error,
        "claim failed; retrying"
    );
}

fn hostile_event() {
    tracing::error!(target: "job_runner_worker.x", path = %HOSTILE, empty = "", pair = "a=b", ts = "never", msg = 5, "file is damaged");
}

/// Returns a line after its time, which differs from call to call.
fn after_time(format: LogFormat, events: fn()) -> String {
    let line = written(format, events);
    match format {
        LogFormat::Classic => line.splitn(3, " - ").nth(2).unwrap().to_owned(),
        _ => line.split_once(' ').unwrap().1.to_owned(),
    }
}

#[test]
fn fields_follow_the_message_in_text_and_classic() {
    let fields = "claim failed; retrying run=5 attempt=2 wait_s=0.5 worker=007 known=true error=\"no answer\"\n";
    assert_eq!(after_time(LogFormat::Text, claim_fails), format!(" WARN job_runner_worker.runner: {fields}"));
    assert_eq!(after_time(LogFormat::Classic, claim_fails), format!("job_runner_worker.runner: {fields}"));
}

#[test]
fn fields_are_members_in_json_and_numbers_are_numbers() {
    let mut line: Value = serde_json::from_str(&written(LogFormat::Json, claim_fails)).unwrap();
    assert!(line.as_object_mut().unwrap().remove("ts").is_some_and(|ts| ts.is_string()));
    let expected = json!({
        "level": "warning", "target": "job_runner_worker.runner", "msg": "claim failed; retrying",
        "run": 5, "attempt": 2, "wait_s": 0.5, "worker": "007", "known": true, "error": "no answer",
    });
    assert_eq!(line, expected);
}

#[test]
fn a_hostile_value_is_quoted_and_stays_on_its_line() {
    let value = r#"path="a\n2026-01-01T00:00:00.000Z ERROR x: forged run=7\r\u{1b}[31m \"q\\\" \u{2028}é""#;
    let fields = format!("file is damaged {value} empty=\"\" pair=\"a=b\" ts=never msg=5\n");
    assert_eq!(after_time(LogFormat::Text, hostile_event), format!("ERROR job_runner_worker.x: {fields}"));
    assert_eq!(after_time(LogFormat::Classic, hostile_event), format!("job_runner_worker.x: {fields}"));
    let json = written(LogFormat::Json, hostile_event);
    assert_eq!(json.matches('\n').count(), 1, "{json}");
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["path"], HOSTILE);
}

#[test]
fn a_field_overwrites_no_member_of_the_line() {
    let line: Value = serde_json::from_str(&written(LogFormat::Json, hostile_event)).unwrap();
    assert_eq!((&line["msg"], &line["msg_"], &line["ts_"]), (&json!("file is damaged"), &json!(5), &json!("never")));
    assert!(chrono::DateTime::parse_from_rfc3339(line["ts"].as_str().unwrap()).is_ok(), "{line}");
}

#[test]
fn a_message_with_line_breaks_is_one_line() {
    fn two_lines() {
        let text = "first\nsecond\r\u{7}";
        tracing::info!(target: "job_runner_worker.x", "{text}");
    }
    assert_eq!(after_time(LogFormat::Text, two_lines), " INFO job_runner_worker.x: first\\nsecond\\r\\u{7}\n");
    let line: Value = serde_json::from_str(&written(LogFormat::Json, two_lines)).unwrap();
    assert_eq!(line["msg"], "first\nsecond\r\u{7}");
}

#[test]
fn numbers_that_json_does_not_have_are_strings() {
    let json = written(LogFormat::Json, || {
        tracing::info!(target: "job_runner_worker.x", ratio = f64::NAN, run = %"none", below = -1, "odd values");
    });
    let line: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&line["ratio"], &line["run"], &line["below"]), (&json!("NaN"), &json!("none"), &json!(-1)));
}

#[test]
fn an_error_that_is_recorded_as_such_has_its_causes() {
    let text = written(LogFormat::Text, || {
        let error = crate::worker::WorkerError::State("/x".into(), io::Error::other("no space"));
        tracing::error!(target: "job_runner_worker.x", error = &error as &dyn std::error::Error, "start failed");
    });
    assert!(text.trim_end().ends_with(": no space\""), "{text}");
    assert_eq!(text.matches("no space").count(), 1, "{text}");
}
