//! Resources of the original's REST API, as far as a worker reads and writes them.
//!
//! Reading is lenient: a missing field is null, and of a timestamp only its presence counts. Writing sends the fields
//! that change and no others.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lack::LackFacts;
use super::time;
use crate::run::claim::RunSight;
use crate::run::{Attempt, Cause, Outcome, ProcessExit, RunId};

#[cfg(test)]
mod tests;

/// Header with the attempt of a run: in the answer to a claim, and in every later write of the worker that found it
/// there. A server of the original kind does not send it, and its worker does not read it.
pub const ATTEMPT: &str = "job-runner-attempt";

/// Run, read from `GET /api/v1/run/{id}/`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RunResource {
    /// Id of the run.
    #[serde(default)]
    pub id: i64,
    /// Path of the job.
    #[serde(default)]
    pub job: Option<String>,
    /// Path of the log, if there is one.
    #[serde(default)]
    pub run_log: Option<String>,
    /// Path of the worker that claimed the run or to which it is pinned.
    #[serde(default)]
    pub worker: Option<String>,
    /// Timestamp at which the run is due.
    #[serde(default)]
    pub schedule_dts: Option<Value>,
    /// Timestamp of the claim; null while the run is unclaimed.
    #[serde(default)]
    pub enqueue_dts: Option<Value>,
    /// Timestamp of the start of the script; null before it.
    #[serde(default)]
    pub start_dts: Option<Value>,
    /// Timestamp of the end; null before it.
    #[serde(default)]
    pub return_dts: Option<Value>,
    /// Number of the current attempt. A server of the original kind does not send it.
    #[serde(default)]
    pub attempt: Option<Value>,
}

impl RunResource {
    /// Returns the current attempt, if the server counts attempts.
    #[must_use]
    pub fn attempt(&self) -> Option<Attempt> {
        let attempt = self.attempt.as_ref().and_then(Value::as_u64)?;
        u32::try_from(attempt).ok().map(Attempt)
    }

    /// Returns the meaning of the run for the worker whose path is `me`.
    #[must_use]
    pub fn seen(&self, me: &str, now: DateTime<Utc>) -> RunSight {
        let mine = self.worker.as_deref().map(|worker| worker == me);
        let far = self.schedule_dts.as_ref().and_then(Value::as_str).is_some_and(|at| time::is_far_ahead(at, now));
        match (&self.return_dts, &self.enqueue_dts, mine) {
            (Some(_), _, _) => RunSight::Returned,
            // A claim without a worker is not this worker's either.
            (None, Some(_), Some(true)) => RunSight::Ours,
            (None, Some(_), _) => RunSight::Theirs,
            (None, None, Some(false)) => RunSight::NotForUs,
            // A run that is due far ahead is left alone, or a stray hint would execute it before its time.
            (None, None, _) if far => RunSight::NotForUs,
            (None, None, _) => RunSight::Free,
        }
    }
}

/// Job, read from `GET /api/v1/job/{id}/`.
#[derive(Clone, Debug, Deserialize)]
pub struct JobResource {
    /// Script as text; a value of another type is no script.
    #[serde(default)]
    pub script_content: Option<Value>,
    /// Seconds that a run may take. A server of the original kind does not send it.
    #[serde(default)]
    pub run_timeout: Option<Value>,
}

/// Worker: one of the objects of `GET /api/v1/worker/`.
#[derive(Clone, Debug, Deserialize)]
pub struct WorkerResource {
    /// Path of the worker.
    pub resource_uri: String,
    /// Key of the worker.
    #[serde(default)]
    pub api_key: Option<String>,
    /// Timestamp of the last answer to a ping, in the server's own text.
    #[serde(default)]
    pub ping_response_dts: Option<Value>,
    /// Whether the server sends commands to workers: `true` if it does. A server of the original kind does not send it.
    #[serde(default)]
    pub actions: Option<Value>,
}

/// Kill request: `GET /api/v1/kill_request/{id}/`.
#[derive(Clone, Debug, Deserialize)]
pub struct KillRequestResource {
    /// Id of the kill request.
    #[serde(default)]
    pub id: Option<i64>,
    /// Path of the run that is to be killed.
    #[serde(default)]
    pub run: Option<String>,
    /// Timestamp at which a worker took it; null before.
    #[serde(default)]
    pub enqueue_dts: Option<Value>,
    /// Timestamp at which it was done; null before.
    #[serde(default)]
    pub execute_dts: Option<Value>,
}

/// Page of a list of resources.
#[derive(Clone, Debug, Deserialize)]
pub struct ResourcePage<T> {
    /// Resources of this page.
    pub objects: Vec<T>,
    /// Position of the page in the list.
    pub meta: Meta,
}

/// Meta data of a page.
#[derive(Clone, Debug, Deserialize)]
pub struct Meta {
    /// Path of the next page; null on the last.
    #[serde(default)]
    pub next: Option<String>,
    /// Number of resources on all pages.
    #[serde(default)]
    pub total_count: Option<u64>,
}

/// Parses the number at the end of a resource's path.
#[must_use]
pub fn id_of(path: &str) -> Option<i64> {
    path.trim_end_matches('/').rsplit('/').next()?.parse().ok()
}

/// Parses the id of a run from its path.
#[must_use]
pub fn run_id_of(path: &str) -> Option<RunId> {
    id_of(path).and_then(RunId::new)
}

/// Change to a run. A field that is `None` is not sent; `Some(None)` sends null.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct RunPatch {
    /// Timestamp of the claim; null takes the claim back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enqueue_dts: Option<Option<String>>,
    /// Path of the worker that claims the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Timestamp of the start of the script; null takes the start back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_dts: Option<Option<String>>,
    /// Pid of the script, for people to see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<Option<i32>>,
    /// Timestamp of the end. Sent once, with `return_success`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_dts: Option<String>,
    /// Whether the run succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_success: Option<bool>,
    /// Exit status of the script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Number of the signal that ended the script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_signal: Option<i32>,
    /// Cause for which the run was stopped: `killed` or `timed_out`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_cause: Option<&'static str>,
}

impl RunPatch {
    /// Creates the change that claims a run for a worker, given by its path.
    #[must_use]
    pub fn claim(at: DateTime<Utc>, worker: &str) -> Self {
        Self { enqueue_dts: Some(Some(time::sent(at))), worker: Some(worker.to_owned()), ..Self::default() }
    }

    /// Creates the change that records the start of the script.
    #[must_use]
    pub fn start(at: &str, pid: Option<i32>) -> Self {
        Self { start_dts: Some(Some(at.to_owned())), pid: pid.map(Some), ..Self::default() }
    }

    /// Creates the change that records the result. A run that never started needs a `start` as well: without one the
    /// server takes it for still queued.
    #[must_use]
    pub fn result(at: &str, success: bool, start: Option<&str>) -> Self {
        Self {
            return_dts: Some(at.to_owned()),
            return_success: Some(success),
            start_dts: start.map(|at| Some(at.to_owned())),
            ..Self::default()
        }
    }

    /// Adds the way in which the script ended, for a server that counts attempts and therefore knows these fields.
    #[must_use]
    pub fn with_exit(self, outcome: &Outcome) -> Self {
        let (exit, cause) = match outcome {
            Outcome::Ran { exit, cause, .. } => (Some(*exit), *cause),
            Outcome::Cancelled(cause) => (None, Some(*cause)),
            Outcome::Unstartable(_) | Outcome::Lost(_) => (None, None),
        };
        let (exit_code, exit_signal) = match exit {
            Some(ProcessExit::Code(code)) => (Some(code), None),
            Some(ProcessExit::Signal(signal)) => (None, Some(signal)),
            None => (None, None),
        };
        let exit_cause = match cause {
            Some(Cause::Killed) => Some("killed"),
            Some(Cause::TimedOut) => Some("timed_out"),
            // The server has no word for these: the run is given back or belongs to another, or failed with the worker
            // that left.
            Some(Cause::Interrupted | Cause::NotOurs | Cause::GivenBack) | None => None,
        };
        Self { exit_code, exit_signal, exit_cause, ..self }
    }

    /// Creates the change that makes an incomplete run due again.
    #[must_use]
    pub fn reset() -> Self {
        Self { enqueue_dts: Some(None), start_dts: Some(None), pid: Some(None), ..Self::default() }
    }
}

/// Change to a worker: the answer to a ping, which is its status report.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WorkerPatch {
    /// Timestamp of the answer to the ping.
    pub ping_response_dts: String,
    /// Version of this program.
    pub worker_version: &'static str,
    /// Slots of the worker.
    pub concurrent_jobs: u32,
    /// Further state, sent only to a server that sends commands to workers.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub tells: Option<WorkerTells>,
}

/// State of a worker beyond the original's fields.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerTells {
    /// Worker state: the word of a [`crate::run::WorkerState`].
    pub duty: &'static str,
    /// Shortages that keep the worker from claiming runs; not sent where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<LackFacts>,
    /// Slots that are taken.
    pub seats_taken: u32,
    /// Results that wait in the outbox.
    pub outbox: u32,
    /// Whether the worker can restart.
    pub restarts: bool,
    /// Id of the request that the worker follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_followed: Option<i64>,
    /// Id of the request that the worker has done last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_done: Option<i64>,
}

/// Change to a kill request. A field that is `None` is not sent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KillRequestPatch {
    /// Timestamp at which the worker took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enqueue_dts: Option<String>,
    /// Timestamp at which no process of the run was left alive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execute_dts: Option<String>,
}

/// New log of a run.
#[derive(Clone, Debug, Serialize)]
pub struct NewLog<'a> {
    /// Path of the run.
    pub run: String,
    /// Text of the log.
    pub content: &'a str,
}

/// Change to the log of a run.
#[derive(Clone, Debug, Serialize)]
pub struct LogPatch<'a> {
    /// Text of the log, which replaces the text before.
    pub content: &'a str,
}

/// Decodes a JSON object, in which a string may hold lone surrogates (`\ud800`) that UTF-8 cannot: each becomes U+FFFD.
///
/// # Errors
/// If the text is not a JSON object of this type.
pub fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    // Serde takes an array for the fields of a struct in their order, and an empty one for all of them missing.
    if text.trim_ascii_start().first().is_some_and(|byte| *byte != b'{') {
        return Err(serde::de::Error::custom("it does not begin with a brace"));
    }
    match serde_json::from_slice(text) {
        // Only text that failed and has a surrogate is rewritten: hardly any has one, and the rewrite copies all of it.
        Err(_) if has_surrogate(text) => serde_json::from_slice(&without_lone_surrogates(text)),
        read => read,
    }
}

// Surrogates are U+D800 to U+DFFF, so the digit behind the `d` is at least 8; letters have greater codes than digits.
fn has_surrogate(text: &[u8]) -> bool {
    text.windows(4).any(|w| w[0] == b'\\' && w[1] == b'u' && w[2].eq_ignore_ascii_case(&b'd') && w[3] >= b'8')
}

/// Replaces each escaped surrogate that is not half of a pair by an escaped U+FFFD.
fn without_lone_surrogates(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(&byte) = rest.first() {
        if byte != b'\\' {
            out.push(byte);
            rest = &rest[1..];
            continue;
        }
        let (taken, replace) = match (surrogate(rest), rest.get(6..).and_then(surrogate)) {
            // A backslash that begins another escape takes the next byte along, so that the `u` of `\\ud800` begins
            // none.
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (12, false),
            (Some(_), _) => (6, true),
            (None, _) => (2.min(rest.len()), false),
        };
        if replace {
            out.extend_from_slice(b"\\ufffd");
        } else {
            out.extend_from_slice(&rest[..taken]);
        }
        rest = &rest[taken..];
    }
    out
}

/// Parses an escaped surrogate at the beginning of a text.
fn surrogate(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    let unit = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (0xD800..=0xDFFF).contains(&unit).then_some(unit)
}
