//! What is told at `/events`: one JSON object a message, the original's fields and more beside them.
//!
//! `{"seq":7,"event":"started","kind":"run","run_id":12}`. `seq` grows by one with each message of a server; where it
//! jumps, or the event is `resync`, something was missed: whatever is shown has to be read again. The first message of
//! a connection is a `resync`, so what is read after it misses nothing.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A run: `scheduled`, `enqueued`, `given_back`, `started`, `log`, `returned`.
    Run,
    /// A kill request: `scheduled`, `enqueued`, `executed`.
    KillRequest,
    /// A job: `changed`.
    Job,
    /// A worker: `changed`.
    Worker,
    /// A pool, project or template: `changed`.
    Thing,
    /// This feed: `resync`.
    Feed,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedMessage {
    /// Its number.
    pub seq: u64,
    /// What happened.
    pub event: Cow<'static, str>,
    /// To what.
    pub kind: EventKind,
    /// Which run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<i64>,
    /// Which kill request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill_request_id: Option<i64>,
    /// Which job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<i64>,
    /// Which worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<i64>,
    /// How many bytes a log has now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
}

impl FeedMessage {
    /// A message about something without a number.
    #[must_use]
    pub fn new(seq: u64, kind: EventKind, event: &'static str) -> Self {
        let event = Cow::Borrowed(event);
        Self { seq, event, kind, run_id: None, kill_request_id: None, job_id: None, worker_id: None, length: None }
    }

    /// That something may have been missed.
    #[must_use]
    pub fn resync(seq: u64) -> Self {
        Self::new(seq, EventKind::Feed, "resync")
    }

    /// The JSON text.
    ///
    /// # Panics
    /// Never: the keys are strings.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("a struct of numbers and words is JSON")
    }
}
