//! What our own worker and our own server say to each other over a WebSocket, when both know how.
//!
//! The worker asks for it with the header [`HEADER`] in the upgrade, and a server that knows it answers with the same; any other
//! server sends plain orders, as ever. The upgrade is signed like a call without a body, and its query has the time (`ts`,
//! seconds since 1970) and a `nonce` that is used once.
//!
//! A message is a head, one line of JSON, and behind its newline a body as it would be over HTTP. Up go calls: what would be
//! an HTTP request, answered in any order, and the appending to the log of a run. Down come their answers, and orders; that a
//! run is due comes with the run and its job, as GET would show them.

use serde::{Deserialize, Serialize};

use super::broadcast::{self, NoOrder};
use crate::run::Order;

#[cfg(test)]
mod tests;

/// The header that asks for it and grants it.
pub const HEADER: &str = "job-runner-uplink";
/// What the header says.
pub const VERSION: &str = "1";
/// The longest head, in bytes.
pub const MAX_HEAD: usize = 8 * 1024;
/// How far the time of an upgrade may be from the server's, in seconds.
pub const MAX_SKEW: i64 = 300;
/// The method of an append: the body follows what the log has by now.
pub const APPEND: &str = "APPEND";
/// The status of an append that begins where the log does not end.
pub const ELSEWHERE: u16 = 416;
/// The status of an answer that is too long for here: it is to be asked for over HTTP.
pub const OVER_HTTP: u16 = 421;
/// The longest message to a server after which the connection goes on, in bytes. Longer bodies are better sent over HTTP.
pub const MAX_UP: usize = 256 * 1024;
/// The longest message from a server, in bytes.
pub const MAX_DOWN: usize = broadcast::MAX_FRAME;

/// The head of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallHead {
    /// Its number, which the answer has too.
    pub call: u64,
    /// The method, in capitals.
    pub method: String,
    /// The path with the query.
    pub path: String,
    /// Which attempt of a run is spoken of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// How long the log is to which something is appended, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
}

/// The head of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerHead {
    /// The number of the call.
    pub answer: u64,
    /// The status, as over HTTP.
    pub status: u16,
    /// Where that is which was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Which attempt a claim began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What the worker is asked to do, in the words of [`super::action`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// The head of the order to execute a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnqueueHead {
    /// `enqueue`.
    pub action: String,
    /// The run.
    pub run_id: i64,
    /// How many bytes of the body are the run; the others are its job.
    pub run_bytes: usize,
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerFrame<'a> {
    /// The answer to a call.
    Answer(AnswerHead, &'a [u8]),
    /// An order.
    Order(Order),
    /// The order to execute a run, with the run and its job.
    Due(Order, &'a [u8], &'a [u8]),
}

/// A message.
///
/// # Panics
/// Never: heads are structs of numbers and words.
#[must_use]
pub fn message(head: &impl Serialize, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(body.len() + 256);
    serde_json::to_writer(&mut message, head).expect("a struct of numbers and words is JSON");
    message.push(b'\n');
    message.extend_from_slice(body);
    message
}

/// Head and body of a message.
#[must_use]
pub fn parts(message: &[u8]) -> (&[u8], &[u8]) {
    let within = &message[..message.len().min(MAX_HEAD)];
    match within.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&message[..end], &message[end + 1..]),
        None => (message, &[]),
    }
}

/// Reads what a server says.
///
/// # Errors
/// Why it is none of these.
pub fn said(message: &[u8]) -> Result<ServerFrame<'_>, NoOrder> {
    let (head, body) = parts(message);
    if let Ok(answer) = serde_json::from_slice(head) {
        return Ok(ServerFrame::Answer(answer, body));
    }
    let order = broadcast::object(head)?;
    match serde_json::from_slice::<EnqueueHead>(head) {
        Ok(due) if due.run_bytes <= body.len() => {
            let (run, job) = body.split_at(due.run_bytes);
            Ok(ServerFrame::Due(order, run, job))
        }
        _ => Ok(ServerFrame::Order(order)),
    }
}

/// The query of an upgrade.
#[must_use]
pub fn query(ts: i64, nonce: &str) -> String {
    format!("ts={ts}&nonce={nonce}")
}

/// Time and nonce of an upgrade's query.
#[must_use]
pub fn asked(query: &str) -> Option<(i64, &str)> {
    let value = |name: &str| {
        let mut found = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
        found.next().filter(|_| found.next().is_none()).map(|(_, value)| value)
    };
    let nonce = value("nonce")
        .filter(|nonce| (16..=64).contains(&nonce.len()) && nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()))?;
    Some((value("ts")?.parse().ok()?, nonce))
}
