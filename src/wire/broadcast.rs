//! Orders as the broadcaster and a WebSocket server send them.
//!
//! Over ZeroMQ: two frames, the topic `master.broadcast.<api_key>` and a JSON object. Over a WebSocket:
//! the JSON object alone. An order is a hint, so all that is taken from it is an action and an id.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::run::{ApiKey, KillId, Order, RunId};

#[cfg(test)]
mod tests;

/// The longest frame that is read, in bytes.
pub const MAX_FRAME: usize = 1024 * 1024;

/// Why a message is no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoOrder {
    /// Not two frames.
    #[error("{0} frames instead of 2")]
    Frames(usize),
    /// For a worker whose key begins as ours does. Normal, and no news.
    #[error("for another worker")]
    OtherTopic,
    /// Not a JSON object with text for keys.
    #[error("not a JSON object: {0}")]
    NotJson(String),
    /// An object without an action: an event, or what a newer server says.
    #[error("no action")]
    NoAction,
    /// An action that we do not know.
    #[error("unknown action {0:?}; enqueue, kill, ping and attend are known")]
    UnknownAction(String),
    /// No id, or one that is no positive integer.
    #[error("{0} is not a positive integer")]
    BadId(&'static str),
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    action: Value,
    #[serde(default)]
    run_id: Value,
    #[serde(default)]
    kill_request_id: Value,
}

/// The topic of a worker.
#[must_use]
pub fn topic(key: &ApiKey) -> String {
    format!("{TOPICS}{key}")
}

/// What the topic of every worker begins with.
pub const TOPICS: &str = "master.broadcast.";

/// The JSON object of an order, as the original's broadcaster sends it.
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

/// The worker that a topic is for.
#[must_use]
pub fn key_of(topic: &[u8]) -> Option<ApiKey> {
    ApiKey::parse(std::str::from_utf8(topic).ok()?.strip_prefix(TOPICS)?).ok()
}

/// Reads a ZeroMQ message.
///
/// # Errors
/// Why it is no order for the worker of this topic.
pub fn order(frames: &[impl AsRef<[u8]>], topic: &str) -> Result<Order, NoOrder> {
    let [address, content] = frames else { return Err(NoOrder::Frames(frames.len())) };
    if address.as_ref() != topic.as_bytes() {
        return Err(NoOrder::OtherTopic);
    }
    object(content.as_ref())
}

/// Reads the JSON object of an order.
///
/// # Errors
/// Why it is no order.
pub fn object(content: &[u8]) -> Result<Order, NoOrder> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let message: Message = match content.trim_ascii_start().first() {
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
            other => Err(NoOrder::UnknownAction(other.chars().take(40).collect())),
        },
        other => Err(NoOrder::UnknownAction(other.to_string().chars().take(40).collect())),
    }
}

/// A number, or digits alone as the original took them.
fn id(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// The beginning of a message for a log line: at most 200 bytes, escaped.
#[must_use]
pub fn shown(content: &[u8]) -> String {
    let cut = if content.len() > 200 { "…" } else { "" };
    format!("{}{cut}", content[..content.len().min(200)].escape_ascii())
}
