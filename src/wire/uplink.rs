//! Uplink: the protocol between this project's worker and server over a WebSocket, where both know it.
//!
//! The worker asks for it with the header [`HEADER`] in the upgrade, once for each [`UplinkVersion`] that it knows, and the
//! server answers with the latest of them that it knows itself; any other server sends plain orders, as ever. The upgrade
//! is signed like a call without a body, and its query has the timestamp (`ts`, seconds since 1970) and a `nonce` that is
//! used once.
//!
//! A message is a head, one line of JSON, and behind its newline a body as it would be over HTTP. The worker sends
//! calls, which stand for HTTP requests and are answered in any order, or append to the log of a run. The server
//! sends the answers, and orders; the order to execute a run comes with the run and its job, as GET would show them.
//!
//! Version 2 adds three things:
//!
//! * Either side sends what waits as one message, a [`bundle`].
//! * One call, [`TELL`], says all that a worker knows of a run: its start, the text of its log from a byte on, its result.
//! * The order to execute a run names the version of the job ([`job_versions`]), and comes without a job that was sent over
//!   this connection before. A job in it has the fields of [`DueJob`] alone.

use serde::{Deserialize, Serialize};

use super::broadcast::{self, NoOrder};
use crate::run::Order;

pub mod bundle;
pub mod job_versions;
#[cfg(test)]
mod tests;

use job_versions::JobVersion;

/// Header of an upgrade that asks for the uplink, and of the answer that grants it.
pub const HEADER: &str = "job-runner-uplink";
/// Longest head of a message, in bytes.
pub const MAX_HEAD: usize = 8 * 1024;
/// Largest difference between the timestamp of an upgrade and the server's clock, in seconds.
pub const MAX_SKEW: i64 = 300;
/// Method of a call that appends its body to the log of a run; [`CallHead::from`] says where.
pub const APPEND: &str = "APPEND";
/// Method of a call that says all that a worker knows of a run, from version 2 on. The first line of its body is a change
/// of the run, as PATCH takes it; with [`CallHead::from`], the text of the log from that byte on follows. The parts are
/// taken in the order of [`TellPart`] and in one transaction. The first that is refused ends the call: the answer has the
/// status that this part would have had by itself and names the part in [`AnswerHead::refused`]; what came before it is
/// kept. A tell that is repeated changes nothing and is accepted again.
pub const TELL: &str = "TELL";
/// Status of an append that does not begin where the log ends, and of a tell whose text contradicts the log.
pub const ELSEWHERE: u16 = 416;
/// Status of an answer that is too long for the uplink; the worker makes the call again over HTTP.
pub const OVER_HTTP: u16 = 421;
/// Longest message to a server after which the connection stays open, in bytes. Longer bodies are better sent over
/// HTTP.
pub const MAX_UP: usize = 256 * 1024;
/// Longest message from a server, in bytes. The same as for plain orders, since a worker sets its bound before it knows
/// whether the server speaks this protocol.
pub const MAX_DOWN: usize = broadcast::MAX_FRAME;

/// Version of the protocol. Each knows what the ones before it know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UplinkVersion {
    /// Calls, answers, orders with their run and job, appends to logs.
    One,
    /// Also bundles, tells and job versions.
    Two,
}

impl UplinkVersion {
    /// All versions, the earliest first.
    pub const ALL: [Self; 2] = [Self::One, Self::Two];

    /// Returns the value of [`HEADER`].
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Two => "2",
        }
    }

    /// Returns the latest known version among values of [`HEADER`], each of which may be a list with commas.
    #[must_use]
    pub fn latest<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let named =
            |value: &[u8]| Self::ALL.into_iter().find(|version| version.text().as_bytes() == value.trim_ascii());
        values.into_iter().flat_map(|value| value.split(|byte| *byte == b',')).filter_map(named).max()
    }
}

/// Part of a tell. The parts are taken in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TellPart {
    /// Start of the script, and its pid.
    Start,
    /// Text of the log.
    Log,
    /// Result of the run.
    Result,
}

/// Job that an order to execute a run carries in version 2: what an execution needs of it, named as GET names it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DueJob<'a> {
    /// Script as text, after its template.
    pub script_content: &'a str,
    /// Seconds that a run may take; left out where they are not limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_timeout: Option<u32>,
}

/// Head of a call, from the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallHead {
    /// Number of the call, repeated in the answer.
    pub call: u64,
    /// HTTP method in capitals, or [`APPEND`] or [`TELL`].
    pub method: String,
    /// Path of the URL with its query.
    pub path: String,
    /// Attempt of the run that the worker speaks of, where the call is about a run that it claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Length of the log, in bytes, at which the body is appended; of a tell, the byte at which its text begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
}

/// Head of an answer, from the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerHead {
    /// Number of the call that is answered.
    pub answer: u64,
    /// HTTP status, or [`ELSEWHERE`] or [`OVER_HTTP`].
    pub status: u16,
    /// Path of the resource that the call created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Attempt that a claim began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Request that is open for the worker, in the text of [`super::action`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Part of a tell that was refused; `None` also where the tell was refused as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<TellPart>,
}

/// Head of the order to execute a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnqueueHead {
    /// Always the word `enqueue`.
    // With these two fields the head is an order by itself, which a worker reads even if it cannot use the body.
    pub action: String,
    /// Id of the run.
    pub run_id: i64,
    /// Length of the run at the beginning of the body, in bytes; the rest of the body is its job.
    pub run_bytes: usize,
    /// Version of the job, from version 2 of the protocol on. Without a job in the body, the worker was sent it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_version: Option<JobVersion>,
}

/// Message from the server, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerFrame<'a> {
    /// Answer to a call, with its body.
    Answer(AnswerHead, &'a [u8]),
    /// Order without a body.
    Order(Order),
    /// Order to execute a run, with what came along.
    Due(Order, DueContent<'a>),
}

/// Run and job that came along with the order to execute the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueContent<'a> {
    /// JSON of the run.
    pub run: &'a [u8],
    /// JSON of the job; empty where it was sent before.
    pub job: &'a [u8],
    /// Version of the job, where the order names it.
    pub version: Option<JobVersion>,
}

/// Encodes a message.
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

/// Splits a message into head and body. A message without a newline in its first [`MAX_HEAD`] bytes is all head.
#[must_use]
pub fn parts(message: &[u8]) -> (&[u8], &[u8]) {
    // Only as much is searched as a head may have: a long body without one is not read to its end.
    let within = &message[..message.len().min(MAX_HEAD)];
    match within.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&message[..end], &message[end + 1..]),
        None => (message, &[]),
    }
}

/// Decodes a message from the server.
///
/// # Errors
/// If the head is neither an answer nor an order.
pub fn said(message: &[u8]) -> Result<ServerFrame<'_>, NoOrder> {
    let (head, body) = parts(message);
    // An order has neither `answer` nor `status`, so it is never taken for an answer.
    if let Ok(answer) = serde_json::from_slice(head) {
        return Ok(ServerFrame::Answer(answer, body));
    }
    let order = broadcast::object(head)?;
    // An order that promises more bytes than it has is a plain order still: the worker reads run and job itself then.
    match serde_json::from_slice::<EnqueueHead>(head) {
        Ok(due) if due.run_bytes <= body.len() => {
            let (run, job) = body.split_at(due.run_bytes);
            Ok(ServerFrame::Due(order, DueContent { run, job, version: due.job_version }))
        }
        _ => Ok(ServerFrame::Order(order)),
    }
}

/// Formats the query of an upgrade.
#[must_use]
pub fn query(ts: i64, nonce: &str) -> String {
    format!("ts={ts}&nonce={nonce}")
}

/// Parses timestamp and nonce of an upgrade's query. A nonce has 16 to 64 letters and digits.
#[must_use]
pub fn asked(query: &str) -> Option<(i64, &str)> {
    // A name that stands there twice is refused: the signature covers both, but two readers could disagree on which one
    // counts.
    let value = |name: &str| {
        let mut found = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
        found.next().filter(|_| found.next().is_none()).map(|(_, value)| value)
    };
    let nonce = value("nonce")
        .filter(|nonce| (16..=64).contains(&nonce.len()) && nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()))?;
    Some((value("ts")?.parse().ok()?, nonce))
}
