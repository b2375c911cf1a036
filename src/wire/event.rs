//! Events as the WebSocket server takes them: two frames, `worker.event` and a JSON object.

use serde_json::json;

use crate::run::Event;

/// The topic of every event.
pub const TOPIC: &str = "worker.event";

/// The JSON object of an event.
#[must_use]
pub fn object(event: Event) -> String {
    let (name, kind, key, id) = match event {
        Event::RunEnqueued(id) => ("enqueued", "run", "run_id", id.get()),
        Event::RunStarted(id) => ("started", "run", "run_id", id.get()),
        Event::RunReturned(id) => ("returned", "run", "run_id", id.get()),
        Event::KillEnqueued(id) => ("enqueued", "kill_request", "kill_request_id", id.get()),
        Event::KillExecuted(id) => ("executed", "kill_request", "kill_request_id", id.get()),
    };
    json!({"event": name, key: id, "kind": kind}).to_string()
}

#[cfg(test)]
mod tests;
