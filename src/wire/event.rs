//! Events of a worker, as the original's server takes them over ZeroMQ: two frames, `worker.event` and a JSON object.

use serde::Deserialize;
use serde_json::json;

use crate::run::{Event, KillId, RunId};

/// Topic frame of every event.
pub const TOPIC: &str = "worker.event";

/// Longest JSON object of an event that is read, in bytes.
pub const MAX_OBJECT: usize = 4096;

/// Encodes an event as its JSON object.
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

/// Reason why a ZeroMQ message is not an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEvent {
    /// The message has another number of frames than two.
    #[error("{0} frames instead of 2")]
    Frames(usize),
    /// The first frame is not [`TOPIC`].
    #[error("another topic than {TOPIC}")]
    Topic,
    /// The object has more than [`MAX_OBJECT`] bytes.
    #[error("{0} bytes, where {MAX_OBJECT} are allowed")]
    TooLong(usize),
    /// The second frame is not a JSON object of the keys `event`, `kind` and an id.
    #[error("not the JSON object of an event: {0}")]
    NotJson(String),
    /// Kind, name and id do not make an event that exists.
    #[error("no event that is known")]
    Unknown,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    event: String,
    kind: String,
    run_id: Option<i64>,
    kill_request_id: Option<i64>,
}

/// Decodes an event from the frames of a ZeroMQ message.
///
/// # Errors
/// If the message is not an event; nothing of it is used then.
pub fn read(frames: &[impl AsRef<[u8]>]) -> Result<Event, NoEvent> {
    let [topic, content] = frames else { return Err(NoEvent::Frames(frames.len())) };
    let content = content.as_ref();
    if topic.as_ref() != TOPIC.as_bytes() {
        return Err(NoEvent::Topic);
    }
    // Events are not signed, so any peer can send one: the length is checked before anything is parsed.
    if content.len() > MAX_OBJECT {
        return Err(NoEvent::TooLong(content.len()));
    }
    let message: Message = serde_json::from_slice(content).map_err(|e| NoEvent::NotJson(e.to_string()))?;
    let run = message.run_id.and_then(RunId::new);
    let kill = message.kill_request_id.and_then(KillId::new);
    // Exactly one id has to be there, and it has to be that of the kind.
    let event = match (message.kind.as_str(), message.event.as_str(), run, kill) {
        ("run", "enqueued", Some(run), None) => Event::RunEnqueued(run),
        ("run", "started", Some(run), None) => Event::RunStarted(run),
        ("run", "returned", Some(run), None) => Event::RunReturned(run),
        ("kill_request", "enqueued", None, Some(kill)) => Event::KillEnqueued(kill),
        ("kill_request", "executed", None, Some(kill)) => Event::KillExecuted(kill),
        _ => return Err(NoEvent::Unknown),
    };
    Ok(event)
}

#[cfg(test)]
mod tests;
