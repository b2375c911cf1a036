//! Orders to workers, as the broadcaster and a WebSocket server send them.
//!
//! Over ZeroMQ an order has two frames, the topic `master.broadcast.<api_key>` and a JSON object; over a WebSocket it
//! is the JSON object alone. An order is a hint, so all that is taken from it is an action and an id.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::run::{ApiKey, KillId, Order, RunId};

#[cfg(test)]
mod tests;

/// Longest frame of an order that is read, in bytes.
pub const MAX_FRAME: usize = 1024 * 1024;

/// Reason why a message is not an order for this worker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoOrder {
    /// The message has another number of frames than two.
    #[error("{0} frames instead of 2")]
    Frames(usize),
    /// The order is for a worker whose key begins as this one's does, since ZeroMQ subscribes to prefixes. Normal, and
    /// not logged as an error.
    #[error("for another worker")]
    OtherTopic,
    /// The content is not a JSON object.
    #[error("not a JSON object: {0}")]
    NotJson(String),
    /// The object has no action: it is an event, or a message of a newer server.
    #[error("no action")]
    NoAction,
    /// The action is unknown; at most 40 characters of it.
    #[error("unknown action {0:?}; enqueue, kill, ping and attend are known")]
    UnknownAction(String),
    /// The field has no id, or one that is not a positive integer.
    #[error("{0} is not a positive integer")]
    BadId(&'static str),
}

// Fields of any type, since only the action decides which of them has to be an id.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    action: Value,
    #[serde(default)]
    run_id: Value,
    #[serde(default)]
    kill_request_id: Value,
}

/// Returns the topic of a worker.
#[must_use]
pub fn topic(key: &ApiKey) -> String {
    format!("{TOPICS}{key}")
}

/// Beginning of every worker's topic; the key follows.
pub const TOPICS: &str = "master.broadcast.";

/// Encodes an order as its JSON object, in the form of the original's broadcaster.
#[must_use]
pub fn text(order: Order) -> String {
    match order {
        Order::Enqueue(run) => json!({"run_id": run.get(), "action": "enqueue"}),
        Order::Kill(kill) => json!({"kill_request_id": kill.get(), "action": "kill"}),
        Order::Ping => json!({"action": "ping"}),
        Order::Attend => json!({"action": "attend"}),
    }
    .to_string()
}

/// Returns the key of the worker that a topic belongs to.
#[must_use]
pub fn key_of(topic: &[u8]) -> Option<ApiKey> {
    ApiKey::parse(std::str::from_utf8(topic).ok()?.strip_prefix(TOPICS)?).ok()
}

/// Decodes an order from the frames of a ZeroMQ message.
///
/// # Errors
/// If the message is not an order for the worker of this topic.
pub fn order(frames: &[impl AsRef<[u8]>], topic: &str) -> Result<Order, NoOrder> {
    let [address, content] = frames else { return Err(NoOrder::Frames(frames.len())) };
    if address.as_ref() != topic.as_bytes() {
        return Err(NoOrder::OtherTopic);
    }
    object(content.as_ref())
}

/// Decodes an order from its JSON object.
///
/// # Errors
/// If the object is not an order.
pub fn object(content: &[u8]) -> Result<Order, NoOrder> {
    // A byte order mark is not JSON; an order that begins with one is understood all the same.
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let message: Message = match content.trim_ascii_start().first() {
        // Serde takes an array for the fields of a struct in their order: `["enqueue", 7]` must not be an order.
        Some(b'{') => serde_json::from_slice(content).map_err(|e| NoOrder::NotJson(e.to_string()))?,
        _ => return Err(NoOrder::NotJson("it does not begin with a brace".to_owned())),
    };
    match &message.action {
        Value::Null => Err(NoOrder::NoAction),
        Value::String(action) => match action.as_str() {
            "enqueue" => id(&message.run_id).and_then(RunId::new).map(Order::Enqueue).ok_or(NoOrder::BadId("run_id")),
            "kill" => id(&message.kill_request_id)
                .and_then(KillId::new)
                .map(Order::Kill)
                .ok_or(NoOrder::BadId("kill_request_id")),
            "ping" => Ok(Order::Ping),
            "attend" => Ok(Order::Attend),
            // The text comes from the network and goes to the log, so it is cut.
            other => Err(NoOrder::UnknownAction(other.chars().take(40).collect())),
        },
        other => Err(NoOrder::UnknownAction(other.to_string().chars().take(40).collect())),
    }
}

/// Reads a number, or a text of digits alone, which the original accepts as well.
fn id(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// Formats the beginning of a message for a log line: at most 200 bytes, escaped.
#[must_use]
pub fn shown(content: &[u8]) -> String {
    let cut = if content.len() > 200 { "…" } else { "" };
    format!("{}{cut}", content[..content.len().min(200)].escape_ascii())
}
