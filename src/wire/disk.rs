//! The record of an execution, as it stands on disk: one file a run, lines of JSON, append-only.
//!
//! The file `runs/<run>.<attempt>.record` in the state directory is the licence to execute: who
//! creates it may start the script, once. The supervising process holds an exclusive `flock` on it until it
//! has written the end, so that anybody can see whether that is still to come. A line that a crash cut short is as
//! if it had not been written. Files written by an older version always open.

use serde::{Deserialize, Serialize};

use crate::run::lifecycle::Remembered;
use crate::run::{Attempt, Cause, Left, Outcome, ProcessExit, RequestId, RunId};

#[cfg(test)]
mod tests;

/// The version of what is written.
pub const VERSION: u32 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum RecordLine {
    /// The licence was taken.
    Begun {
        /// [`VERSION`] when it was written.
        v: u32,
        /// The run.
        run: i64,
        /// The attempt.
        attempt: u32,
        /// What the job's processes carry in their environment.
        token: String,
        /// The pid of the supervising process.
        shim: i32,
        /// Its socket.
        socket: String,
        /// The boot it belongs to.
        boot_id: String,
        /// The script's path.
        script: String,
        /// The cgroup of the job's processes.
        #[serde(default)]
        cgroup: Option<String>,
    },
    /// The script runs.
    Spawned {
        /// Its pid.
        pid: i32,
        /// When that process was started, in clock ticks since boot: field 22 of `/proc/<pid>/stat`.
        start_time: u64,
        /// The same as wall-clock time, as it is sent.
        at: String,
    },
    /// The run is over.
    Ended {
        /// How.
        how: EndKind,
        /// How many bytes the script wrote.
        output: u64,
        /// When, as it is sent.
        at: String,
    },
}

/// An outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum EndKind {
    /// With a status.
    Exited {
        /// 0 to 255.
        code: i32,
        /// Why it was stopped.
        #[serde(default)]
        stopped: Option<EndCause>,
        /// What outlived it.
        #[serde(default)]
        left: RecordedLeftovers,
    },
    /// By a signal.
    Signalled {
        /// Its number.
        signal: i32,
        /// Why it was stopped.
        #[serde(default)]
        stopped: Option<EndCause>,
        /// What outlived it.
        #[serde(default)]
        left: RecordedLeftovers,
    },
    /// It never started.
    Unstartable {
        /// One clear sentence.
        reason: String,
    },
    /// It was stopped before it started.
    Cancelled {
        /// Why.
        stopped: EndCause,
    },
    /// Its supervisor died.
    Lost {
        /// How often by now.
        times: u32,
    },
}

/// A cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// [`Cause::Killed`].
    Killed,
    /// [`Cause::TimedOut`].
    TimedOut,
    /// [`Cause::Interrupted`].
    Interrupted,
    /// [`Cause::NotOurs`].
    NotOurs,
    /// [`Cause::GivenBack`].
    GivenBack,
}

/// What outlived a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedLeftovers {
    /// Nobody.
    #[default]
    Nobody,
    /// Left alone.
    Kept,
    /// Stopped.
    Stopped,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The run.
    pub run: RunId,
    /// The attempt.
    pub attempt: Attempt,
    /// What the job's processes carry in their environment.
    pub token: String,
    /// The pid of the supervising process.
    pub shim: i32,
    /// Its socket.
    pub socket: String,
    /// The boot it belongs to.
    pub boot_id: String,
    /// The script's path.
    pub script: String,
    /// The cgroup of the job's processes.
    pub cgroup: Option<String>,
    /// The script, if it was started.
    pub spawned: Option<Spawned>,
    /// The end, if it came.
    pub ended: Option<RecordedEnd>,
}

/// A started script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spawned {
    /// Its pid.
    pub pid: i32,
    /// When that process was started, in clock ticks since boot.
    pub start_time: u64,
    /// The same as wall-clock time, as it is sent.
    pub at: String,
}

/// An end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEnd {
    /// How.
    pub outcome: Outcome,
    /// How many bytes the script wrote.
    pub output: u64,
    /// When, as it is sent.
    pub at: String,
}

/// What a worker remembers from one start to the next, in the file `conduct`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Conduct {
    /// [`VERSION`] when it was written.
    v: u32,
    /// Whether it sleeps.
    asleep: bool,
    /// The number of the last request that was done.
    #[serde(default)]
    done: Option<i64>,
}

/// The text of what a worker remembers.
#[must_use]
pub fn conduct_text(remembered: Remembered) -> Vec<u8> {
    let Remembered { asleep, done } = remembered;
    let conduct = Conduct { v: VERSION, asleep, done: done.map(RequestId::get) };
    serde_json::to_vec(&conduct).unwrap_or_default()
}

/// Reads what a worker remembers; `None` where that cannot be told.
#[must_use]
pub fn conduct(text: &[u8]) -> Option<Remembered> {
    let Conduct { v, asleep, done } = serde_json::from_slice(text).ok()?;
    (v <= VERSION).then(|| Remembered { asleep, done: done.and_then(RequestId::new) })
}

/// The bytes of a line.
#[must_use]
pub fn line(line: &RecordLine) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Reads a record. `None` where not even its first line is complete: nothing was started then.
#[must_use]
pub fn record(bytes: &[u8]) -> Option<Record> {
    let mut lines = bytes.split_inclusive(|b| *b == b'\n').filter_map(|line| {
        let line = line.strip_suffix(b"\n")?;
        serde_json::from_slice::<RecordLine>(line).ok()
    });
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

/// The directory, in that of the state, of the records of runs that are done with and have left somebody running.
pub const LEFTOVERS: &str = "leftovers";

/// The name of a record in the runs directory.
#[must_use]
pub fn record_name(run: RunId, attempt: Attempt) -> String {
    format!("{run}.{attempt}.record")
}

/// The name of the output beside it.
#[must_use]
pub fn output_name(run: RunId, attempt: Attempt) -> String {
    format!("{run}.{attempt}.output")
}

/// The run and attempt of a file in the runs directory.
#[must_use]
pub fn named(name: &str) -> Option<(RunId, Attempt)> {
    let mut parts = name.split('.');
    let (run, attempt, kind) = (parts.next()?, parts.next()?, parts.next()?);
    (matches!(kind, "record" | "output") && parts.next().is_none()).then_some(())?;
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
