//! Events, word for word as the original's WebSocket server and its clients know them.

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
    }
}
