//! Events, word for word in the form of the original's WebSocket server and its clients.

use serde_json::{Value, json};

use super::*;
use crate::run::{KillId, RunId};

#[test]
fn every_event_is_worded_as_the_original_words_it() {
    let run = RunId::new(1).expect("a run");
    let kill = KillId::new(2).expect("a kill request");
    for (event, wanted) in [
        (Event::RunEnqueued(run), json!({"event": "enqueued", "run_id": 1, "kind": "run"})),
        (Event::RunStarted(run), json!({"event": "started", "run_id": 1, "kind": "run"})),
        (Event::RunReturned(run), json!({"event": "returned", "run_id": 1, "kind": "run"})),
        (Event::KillEnqueued(kill), json!({"event": "enqueued", "kill_request_id": 2, "kind": "kill_request"})),
        (Event::KillExecuted(kill), json!({"event": "executed", "kill_request_id": 2, "kind": "kill_request"})),
    ] {
        assert_eq!(serde_json::from_str::<Value>(&object(event)).expect("JSON"), wanted);
        assert_eq!(read(&[TOPIC.as_bytes(), object(event).as_bytes()]), Ok(event));
    }
}

#[test]
fn anything_else_is_no_event() {
    let topic = TOPIC.as_bytes();
    assert_eq!(read(&[] as &[&[u8]]), Err(NoEvent::Frames(0)));
    assert_eq!(read(&[topic]), Err(NoEvent::Frames(1)));
    assert_eq!(read(&[b"worker.events".as_slice(), b"{}"]), Err(NoEvent::Topic));
    assert_eq!(read(&[topic, &[b' '; 4097]]), Err(NoEvent::TooLong(4097)));
    for text in [
        "",
        "null",
        "[]",
        "7",
        "{}",
        "{",
        "\u{7f}",
        r#"{"event":"returned","run_id":1}"#,
        r#"{"event":"returned","run_id":"1","kind":"run"}"#,
        r#"{"event":"returned","run_id":1.5,"kind":"run"}"#,
        r#"{"event":"returned","run_id":1,"kind":"run","html":"<script>"}"#,
        r#"{"event":"returned","run_id":1,"kind":"run"} {}"#,
    ] {
        assert!(matches!(read(&[topic, text.as_bytes()]), Err(NoEvent::NotJson(_))), "{text}");
    }
    for text in [
        r#"{"event":"returned","run_id":0,"kind":"run"}"#,
        r#"{"event":"returned","run_id":-1,"kind":"run"}"#,
        r#"{"event":"returned","kill_request_id":1,"kind":"run"}"#,
        r#"{"event":"returned","run_id":1,"kill_request_id":1,"kind":"run"}"#,
        r#"{"event":"returned","run_id":1,"kind":"kill_request"}"#,
        r#"{"event":"deleted","run_id":1,"kind":"run"}"#,
    ] {
        assert_eq!(read(&[topic, text.as_bytes()]), Err(NoEvent::Unknown), "{text}");
    }
    assert!(read(&[topic, b"\xff\xfe"]).is_err());
}
