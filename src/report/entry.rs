//! What the outbox knows of a run and of a kill.

use crate::run::{Attempt, KillId, Outcome, RunId};
use crate::wire::time;

/// A run that we claimed or are about to claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// The run.
    pub run: RunId,
    /// Which execution this is.
    pub attempt: Attempt,
    /// Which attempt of the run this is to the server, if it said so when it took the claim.
    pub claim: Option<Attempt>,
    /// How many executions were lost.
    pub losses: u32,
    /// What the job's processes carry in their environment, and the script's file in its name.
    pub token: String,
    /// The path of its log, if the server has one.
    pub run_log: Option<String>,
    /// Its start.
    pub start: Option<Start>,
    /// Its end.
    pub end: Option<StoredEnd>,
}

/// The start of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Its pid, for people to see.
    pub pid: i32,
    /// When, as it is sent.
    pub at: String,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEnd {
    /// How.
    pub outcome: Outcome,
    /// How many bytes it wrote.
    pub output: u64,
    /// When, as it is sent.
    pub at: String,
}

impl StoredEnd {
    /// An end without output, now: of what no shim tells of.
    #[must_use]
    pub fn now(outcome: Outcome) -> Self {
        Self { outcome, output: 0, at: time::sent(chrono::Utc::now()) }
    }
}

/// A kill that we took, from its receipt to its execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KillEntry {
    /// The request.
    pub kill: KillId,
    /// The run, once it is known to be ours.
    pub run: Option<RunId>,
    /// Where it stands.
    pub phase: KillPhase,
}

/// Where a kill stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillPhase {
    /// Somebody said that it is asked for.
    Received,
    /// It is ours to do.
    Taken,
    /// Nothing of the run is left alive.
    Dead,
}

/// A fact that could not be delivered and never will be, for people to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// When it was given up, in UTC.
    pub at: String,
    /// The run.
    pub run: RunId,
    /// Which fact of it: `start`, `log`, `result`.
    pub what: String,
    /// Why.
    pub reason: String,
}
