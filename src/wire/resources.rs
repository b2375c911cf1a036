//! The resources of the REST API, as far as a worker reads and writes them.
//!
//! Reading is lenient: a field that is missing is null, and of a timestamp only its being there
//! counts. Writing sends the fields that change and no others.

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

/// The header in which the attempt of a run is told: in the answer to a claim, and with every later write of the worker that
/// heard it there. An old server does not tell it, and an old worker does not ask.
pub const ATTEMPT: &str = "job-runner-attempt";

/// `GET /api/v1/run/{id}/`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RunResource {
    /// Its number.
    #[serde(default)]
    pub id: i64,
    /// The job's path.
    #[serde(default)]
    pub job: Option<String>,
    /// The path of the log, if there is one.
    #[serde(default)]
    pub run_log: Option<String>,
    /// The path of the worker that claimed it or to which it is pinned.
    #[serde(default)]
    pub worker: Option<String>,
    /// When it is due.
    #[serde(default)]
    pub schedule_dts: Option<Value>,
    /// When it was claimed.
    #[serde(default)]
    pub enqueue_dts: Option<Value>,
    /// When its script was started.
    #[serde(default)]
    pub start_dts: Option<Value>,
    /// When it was over.
    #[serde(default)]
    pub return_dts: Option<Value>,
    /// Which attempt is under way. An old server does not say.
    #[serde(default)]
    pub attempt: Option<Value>,
}

impl RunResource {
    /// Which attempt is under way, if the server counts them.
    #[must_use]
    pub fn attempt(&self) -> Option<Attempt> {
        let attempt = self.attempt.as_ref().and_then(Value::as_u64)?;
        u32::try_from(attempt).ok().map(Attempt)
    }

    /// What this says to the worker whose path is `me`.
    #[must_use]
    pub fn seen(&self, me: &str, now: DateTime<Utc>) -> RunSight {
        let mine = self.worker.as_deref().map(|worker| worker == me);
        let far = self.schedule_dts.as_ref().and_then(Value::as_str).is_some_and(|at| time::is_far_ahead(at, now));
        match (&self.return_dts, &self.enqueue_dts, mine) {
            (Some(_), _, _) => RunSight::Returned,
            (None, Some(_), Some(true)) => RunSight::Ours,
            (None, Some(_), _) => RunSight::Theirs,
            (None, None, Some(false)) => RunSight::NotForUs,
            (None, None, _) if far => RunSight::NotForUs,
            (None, None, _) => RunSight::Free,
        }
    }
}

/// `GET /api/v1/job/{id}/`.
#[derive(Clone, Debug, Deserialize)]
pub struct JobResource {
    /// The script, as text; anything else is no script.
    #[serde(default)]
    pub script_content: Option<Value>,
    /// How many seconds a run may take. An old server does not say.
    #[serde(default)]
    pub run_timeout: Option<Value>,
}

/// `GET /api/v1/worker/`, one of its objects.
#[derive(Clone, Debug, Deserialize)]
pub struct WorkerResource {
    /// Its path.
    pub resource_uri: String,
    /// Its key.
    #[serde(default)]
    pub api_key: Option<String>,
    /// When it last answered a ping, as the server says it.
    #[serde(default)]
    pub ping_response_dts: Option<Value>,
    /// Whether the server asks workers to do things. An old one does not say.
    #[serde(default)]
    pub actions: Option<Value>,
}

/// `GET /api/v1/kill_request/{id}/`.
#[derive(Clone, Debug, Deserialize)]
pub struct KillRequestResource {
    /// Its number.
    #[serde(default)]
    pub id: Option<i64>,
    /// The path of the run.
    #[serde(default)]
    pub run: Option<String>,
    /// When a worker took it.
    #[serde(default)]
    pub enqueue_dts: Option<Value>,
    /// When it was done.
    #[serde(default)]
    pub execute_dts: Option<Value>,
}

/// A page of a list.
#[derive(Clone, Debug, Deserialize)]
pub struct ResourcePage<T> {
    /// What is on it.
    pub objects: Vec<T>,
    /// About the list.
    pub meta: Meta,
}

/// About a list.
#[derive(Clone, Debug, Deserialize)]
pub struct Meta {
    /// The path of the next page.
    #[serde(default)]
    pub next: Option<String>,
    /// How many there are on all pages.
    #[serde(default)]
    pub total_count: Option<u64>,
}

/// The number at the end of a resource's path.
#[must_use]
pub fn id_of(path: &str) -> Option<i64> {
    path.trim_end_matches('/').rsplit('/').next()?.parse().ok()
}

/// The number of a run from its path.
#[must_use]
pub fn run_id_of(path: &str) -> Option<RunId> {
    id_of(path).and_then(RunId::new)
}

/// What is changed of a run. A field that is `None` is not sent.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct RunPatch {
    /// When it was claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enqueue_dts: Option<Option<String>>,
    /// The worker that claims it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// When its script was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_dts: Option<Option<String>>,
    /// The pid of the script, for people to see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<Option<i32>>,
    /// When it was over. Sent once, with `return_success`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_dts: Option<String>,
    /// Whether it succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_success: Option<bool>,
    /// With which status the script ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// By which signal it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_signal: Option<i32>,
    /// Why it was stopped, if it was: `killed` or `timed_out`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_cause: Option<&'static str>,
}

impl RunPatch {
    /// The claim.
    #[must_use]
    pub fn claim(at: DateTime<Utc>, worker: &str) -> Self {
        Self { enqueue_dts: Some(Some(time::sent(at))), worker: Some(worker.to_owned()), ..Self::default() }
    }

    /// The start of the script.
    #[must_use]
    pub fn start(at: &str, pid: Option<i32>) -> Self {
        Self { start_dts: Some(Some(at.to_owned())), pid: pid.map(Some), ..Self::default() }
    }

    /// The result; with a start for a run that never started, because without one the server takes
    /// it for still queued.
    #[must_use]
    pub fn result(at: &str, success: bool, start: Option<&str>) -> Self {
        Self {
            return_dts: Some(at.to_owned()),
            return_success: Some(success),
            start_dts: start.map(|at| Some(at.to_owned())),
            ..Self::default()
        }
    }

    /// With how it ended: for a server that counts attempts, and so knows these fields.
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
            Some(Cause::Interrupted | Cause::NotOurs | Cause::GivenBack) | None => None,
        };
        Self { exit_code, exit_signal, exit_cause, ..self }
    }

    /// Makes an incomplete run due again.
    #[must_use]
    pub fn reset() -> Self {
        Self { enqueue_dts: Some(None), start_dts: Some(None), pid: Some(None), ..Self::default() }
    }
}

/// What is changed of a worker: the answer to a ping.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WorkerPatch {
    /// When the ping was answered.
    pub ping_response_dts: String,
    /// The version of this program.
    pub worker_version: &'static str,
    /// How many runs at once.
    pub concurrent_jobs: u32,
    /// What a server is told that asks workers to do things.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub tells: Option<WorkerTells>,
}

/// What a worker tells of itself.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerTells {
    /// What it does: the word of a [`crate::run::Duty`].
    pub duty: &'static str,
    /// What it has too little of to claim runs, where that is so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<LackFacts>,
    /// How many of its seats are taken.
    pub seats_taken: u32,
    /// How many results wait in its outbox.
    pub outbox: u32,
    /// Whether it can restart.
    pub restarts: bool,
    /// The request that it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_followed: Option<i64>,
    /// The request that it has done last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_done: Option<i64>,
}

/// What is changed of a kill request.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KillRequestPatch {
    /// When it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enqueue_dts: Option<String>,
    /// When nothing was left alive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execute_dts: Option<String>,
}

/// A log that is made.
#[derive(Clone, Debug, Serialize)]
pub struct NewLog<'a> {
    /// The run's path.
    pub run: String,
    /// The text.
    pub content: &'a str,
}

/// A log that is changed.
#[derive(Clone, Debug, Serialize)]
pub struct LogPatch<'a> {
    /// The text.
    pub content: &'a str,
}

/// Reads the JSON text of an object, in which a string may hold lone surrogates (`\ud800`), which no UTF-8
/// can: each becomes U+FFFD.
///
/// # Errors
/// What is wrong with the text.
pub fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    // Serde takes an array for the fields of a struct in their order, and an empty one for all of them missing.
    if text.trim_ascii_start().first().is_some_and(|byte| *byte != b'{') {
        return Err(serde::de::Error::custom("it does not begin with a brace"));
    }
    match serde_json::from_slice(text) {
        Err(_) if has_surrogate(text) => serde_json::from_slice(&without_lone_surrogates(text)),
        read => read,
    }
}

fn has_surrogate(text: &[u8]) -> bool {
    text.windows(4).any(|w| w[0] == b'\\' && w[1] == b'u' && w[2].eq_ignore_ascii_case(&b'd') && w[3] >= b'8')
}

/// Replaces every escaped surrogate that is not half of a pair by an escaped U+FFFD.
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

/// The surrogate that stands escaped at the beginning of a text.
fn surrogate(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    let unit = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (0xD800..=0xDFFF).contains(&unit).then_some(unit)
}
