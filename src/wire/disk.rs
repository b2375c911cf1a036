//! Record of an execution on disk: one file per attempt, lines of JSON, append-only; and the worker's own memory,
//! `conduct`.
//!
//! The file `runs/<run>.<attempt>.record` in the state directory is the licence to execute: the process that creates it
//! may start the script, once. The supervising process (the shim) holds an exclusive `flock` on it until it has written
//! the end, so that another process can see whether the end is still to come. A line that a crash cut short counts as
//! not written. Files of an older version can always be read.

use serde::{Deserialize, Serialize};

use crate::run::worker_lifecycle::Remembered;
use crate::run::{Attempt, Cause, Left, Outcome, ProcessExit, RequestId, RunId};

#[cfg(test)]
mod tests;

/// Version of the format that is written.
pub const VERSION: u32 = 1;

/// Line of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum RecordLine {
    /// The licence was taken; always the first line.
    Begun {
        /// [`VERSION`] of the writer.
        v: u32,
        /// Id of the run.
        run: i64,
        /// Number of the attempt.
        attempt: u32,
        /// Token that the job's processes carry in their environment, by which they are found.
        token: String,
        /// Pid of the supervising process.
        shim: i32,
        /// Path of the socket at which that process listens.
        socket: String,
        /// Id of the boot in which the pid is valid.
        boot_id: String,
        /// Path of the script.
        script: String,
        /// Path of the cgroup of the job's processes, where they have one.
        #[serde(default)]
        cgroup: Option<String>,
    },
    /// The script was started.
    Spawned {
        /// Pid of the script.
        pid: i32,
        /// Start of that process in clock ticks since boot: field 22 of `/proc/<pid>/stat`, which tells it from a later
        /// process with the same pid.
        start_time: u64,
        /// Timestamp of the start, as [`super::time::sent`] formats it.
        at: String,
    },
    /// The run has ended.
    Ended {
        /// Outcome of the execution.
        how: EndKind,
        /// Bytes of output, without the secrets that were removed.
        output: u64,
        /// Timestamp of the end, as [`super::time::sent`] formats it.
        at: String,
    },
}

/// Outcome of an execution, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum EndKind {
    /// The script exited with a status.
    Exited {
        /// Exit status, 0 to 255.
        code: i32,
        /// Cause for which it was stopped, if it was.
        #[serde(default)]
        stopped: Option<EndCause>,
        /// Fate of the processes that outlived it.
        #[serde(default)]
        left: RecordedLeftovers,
    },
    /// The script was ended by a signal.
    Signalled {
        /// Number of the signal.
        signal: i32,
        /// Cause for which it was stopped, if it was.
        #[serde(default)]
        stopped: Option<EndCause>,
        /// Fate of the processes that outlived it.
        #[serde(default)]
        left: RecordedLeftovers,
    },
    /// The script could not be started.
    Unstartable {
        /// Reason in one clear sentence.
        reason: String,
    },
    /// The run was stopped before its script started.
    Cancelled {
        /// Cause for which it was stopped.
        stopped: EndCause,
    },
    /// The supervising process died before the end.
    Lost {
        /// Number of times that this has happened to the run.
        times: u32,
    },
}

/// Cause for which a run was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// Stopped on request, as [`Cause::Killed`].
    Killed,
    /// Stopped by its timeout, as [`Cause::TimedOut`].
    TimedOut,
    /// Stopped with its worker, as [`Cause::Interrupted`].
    Interrupted,
    /// Stopped for the server's refusal, as [`Cause::NotOurs`].
    NotOurs,
    /// Stopped and given back, as [`Cause::GivenBack`].
    GivenBack,
}

/// Fate of the processes that outlived a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedLeftovers {
    /// No process outlived it.
    #[default]
    Nobody,
    /// Processes outlived it and were left running.
    Kept,
    /// Processes outlived it and were stopped.
    Stopped,
}

/// Record of an execution, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Id of the run.
    pub run: RunId,
    /// Number of the attempt.
    pub attempt: Attempt,
    /// Token that the job's processes carry in their environment, by which they are found.
    pub token: String,
    /// Pid of the supervising process.
    pub shim: i32,
    /// Path of the socket at which that process listens.
    pub socket: String,
    /// Id of the boot in which the pids are valid.
    pub boot_id: String,
    /// Path of the script.
    pub script: String,
    /// Path of the cgroup of the job's processes, where they have one.
    pub cgroup: Option<String>,
    /// Start of the script; `None` before it.
    pub spawned: Option<Spawned>,
    /// End of the execution; `None` before it, and where the supervising process died.
    pub ended: Option<RecordedEnd>,
}

/// Script that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spawned {
    /// Pid of the script.
    pub pid: i32,
    /// Start of that process in clock ticks since boot.
    pub start_time: u64,
    /// Timestamp of the start, as [`super::time::sent`] formats it.
    pub at: String,
}

/// End of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEnd {
    /// Outcome of the execution.
    pub outcome: Outcome,
    /// Bytes of output, without the secrets that were removed.
    pub output: u64,
    /// Timestamp of the end, as [`super::time::sent`] formats it.
    pub at: String,
}

/// Content of the file `conduct`: state that a worker keeps from one start to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RememberedState {
    /// [`VERSION`] of the writer.
    v: u32,
    /// Whether the worker was asleep.
    asleep: bool,
    /// Id of the last request that was done.
    #[serde(default)]
    done: Option<i64>,
}

/// Encodes the content of `conduct`.
#[must_use]
pub fn remembered_text(remembered: Remembered) -> Vec<u8> {
    let Remembered { asleep, done } = remembered;
    let state = RememberedState { v: VERSION, asleep, done: done.map(RequestId::get) };
    // A struct of numbers and booleans always becomes JSON.
    serde_json::to_vec(&state).unwrap_or_default()
}

/// Decodes the content of `conduct`; `None` where it cannot be read or was written by a later version.
#[must_use]
pub fn remembered(text: &[u8]) -> Option<Remembered> {
    let RememberedState { v, asleep, done } = serde_json::from_slice(text).ok()?;
    // A later version may give the fields another meaning, and waking a worker that has to sleep would be wrong.
    (v <= VERSION).then(|| Remembered { asleep, done: done.and_then(RequestId::new) })
}

/// Encodes a line of a record, with its newline.
#[must_use]
pub fn line(line: &RecordLine) -> Vec<u8> {
    // A line has no map with keys that JSON forbids, so it always becomes JSON.
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Decodes a record. `None` where not even its first line is complete: no script was started then.
#[must_use]
pub fn record(bytes: &[u8]) -> Option<Record> {
    // A line that a crash or a full disk cut short is passed over; so are the empty lines of a renamed spare file.
    let mut lines = bytes.split_inclusive(|b| *b == b'\n').filter_map(|line| {
        let line = line.strip_suffix(b"\n")?;
        serde_json::from_slice::<RecordLine>(line).ok()
    });
    // The version is not looked at: fields and lines of a later version are passed over, so a worker that went back a
    // version still finds its runs.
    let RecordLine::Begun { run, attempt, token, shim, socket, boot_id, script, cgroup, .. } = lines.next()? else {
        return None;
    };
    let mut record = Record {
        run: RunId::new(run)?,
        attempt: Attempt(attempt),
        token,
        shim,
        socket,
        boot_id,
        script,
        cgroup,
        spawned: None,
        ended: None,
    };
    for line in lines {
        match line {
            RecordLine::Begun { .. } => {}
            RecordLine::Spawned { pid, start_time, at } => record.spawned = Some(Spawned { pid, start_time, at }),
            RecordLine::Ended { how, output, at } => {
                record.ended = Some(RecordedEnd { outcome: how.into(), output, at })
            }
        }
    }
    Some(record)
}

/// Directory within the state directory for records of ended runs whose processes still run.
pub const LEFTOVERS: &str = "leftovers";

/// Returns the name of a record in the directory `runs`.
#[must_use]
pub fn record_name(run: RunId, attempt: Attempt) -> String {
    format!("{run}.{attempt}.record")
}

/// Returns the name of the output beside that record.
#[must_use]
pub fn output_name(run: RunId, attempt: Attempt) -> String {
    format!("{run}.{attempt}.output")
}

/// Returns the name of the journal beside that record.
#[must_use]
pub fn journal_name(run: RunId, attempt: Attempt) -> String {
    format!("{run}.{attempt}.journal")
}

/// Parses run and attempt from a file name in the directory `runs`.
#[must_use]
pub fn named(name: &str) -> Option<(RunId, Attempt)> {
    let mut parts = name.split('.');
    let (run, attempt, kind) = (parts.next()?, parts.next()?, parts.next()?);
    (matches!(kind, "record" | "output" | "journal") && parts.next().is_none()).then_some(())?;
    Some((RunId::new(run.parse().ok()?)?, Attempt(attempt.parse().ok()?)))
}

impl From<&Outcome> for EndKind {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Ran { exit: ProcessExit::Code(code), cause, left } => {
                Self::Exited { code: *code, stopped: cause.map(Into::into), left: (*left).into() }
            }
            Outcome::Ran { exit: ProcessExit::Signal(signal), cause, left } => {
                Self::Signalled { signal: *signal, stopped: cause.map(Into::into), left: (*left).into() }
            }
            Outcome::Unstartable(reason) => Self::Unstartable { reason: reason.clone() },
            Outcome::Cancelled(cause) => Self::Cancelled { stopped: (*cause).into() },
            Outcome::Lost(times) => Self::Lost { times: *times },
        }
    }
}

impl From<EndKind> for Outcome {
    fn from(how: EndKind) -> Self {
        match how {
            EndKind::Exited { code, stopped, left } => {
                Self::Ran { exit: ProcessExit::Code(code), cause: stopped.map(Into::into), left: left.into() }
            }
            EndKind::Signalled { signal, stopped, left } => {
                Self::Ran { exit: ProcessExit::Signal(signal), cause: stopped.map(Into::into), left: left.into() }
            }
            EndKind::Unstartable { reason } => Self::Unstartable(reason),
            EndKind::Cancelled { stopped } => Self::Cancelled(stopped.into()),
            EndKind::Lost { times } => Self::Lost(times),
        }
    }
}

impl From<Cause> for EndCause {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Killed => Self::Killed,
            Cause::TimedOut => Self::TimedOut,
            Cause::Interrupted => Self::Interrupted,
            Cause::NotOurs => Self::NotOurs,
            Cause::GivenBack => Self::GivenBack,
        }
    }
}

impl From<EndCause> for Cause {
    fn from(why: EndCause) -> Self {
        match why {
            EndCause::Killed => Self::Killed,
            EndCause::TimedOut => Self::TimedOut,
            EndCause::Interrupted => Self::Interrupted,
            EndCause::NotOurs => Self::NotOurs,
            EndCause::GivenBack => Self::GivenBack,
        }
    }
}

impl From<Left> for RecordedLeftovers {
    fn from(left: Left) -> Self {
        match left {
            Left::Nobody => Self::Nobody,
            Left::Kept => Self::Kept,
            Left::Stopped => Self::Stopped,
        }
    }
}

impl From<RecordedLeftovers> for Left {
    fn from(remains: RecordedLeftovers) -> Self {
        match remains {
            RecordedLeftovers::Nobody => Self::Nobody,
            RecordedLeftovers::Kept => Self::Kept,
            RecordedLeftovers::Stopped => Self::Stopped,
        }
    }
}
