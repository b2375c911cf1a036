//! Change feed at `/events`: encodes each change as one JSON object a message, with the original's fields and more
//! beside them.
//!
//! `{"seq":7,"event":"started","kind":"run","run_id":12}`. `seq` grows by one with each message of a server; where it
//! jumps, or the event is `resync`, something was missed, and a subscriber has to read again all that it shows. The
//! first message of a connection is a `resync`, so what is read after it misses nothing.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Entity that a change is about, with the events of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Run: `scheduled`, `enqueued`, `given_back`, `started`, `log`, `returned`.
    Run,
    /// Kill request: `scheduled`, `enqueued`, `executed`.
    KillRequest,
    /// Job, of which the only event is `changed`.
    Job,
    /// Worker, of which the only event is `changed`.
    Worker,
    /// Pool, project or template, of which the only event is `changed`.
    Thing,
    /// Flamenco worker, or job or task of the farm, of which the only event is `changed`.
    Farm,
    /// The feed itself, of which the only event is `resync`.
    Feed,
}

/// Message of the change feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedMessage {
    /// Sequence number, counted over all messages of a server.
    pub seq: u64,
    /// Event, one of those that [`EventKind`] lists.
    pub event: Cow<'static, str>,
    /// Kind of entity that has changed.
    pub kind: EventKind,
    /// Id of the run, on events of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<i64>,
    /// Id of the kill request, on events of a kill request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill_request_id: Option<i64>,
    /// Id of the job, on events of a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<i64>,
    /// Id of the worker, on events of a worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<i64>,
    /// Length of a run's log in bytes, on the event `log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
}

impl FeedMessage {
    /// Creates a message without ids.
    #[must_use]
    pub fn new(seq: u64, kind: EventKind, event: &'static str) -> Self {
        // Only a message that was received owns the name of its event.
        let event = Cow::Borrowed(event);
        Self { seq, event, kind, run_id: None, kill_request_id: None, job_id: None, worker_id: None, length: None }
    }

    /// Creates the message that tells a subscriber to read everything again.
    #[must_use]
    pub fn resync(seq: u64) -> Self {
        Self::new(seq, EventKind::Feed, "resync")
    }

    /// Encodes the message as JSON text.
    ///
    /// # Panics
    /// Never: the keys are strings.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("a struct of numbers and words is JSON")
    }
}
