//! Entries of the outbox: runs, kill requests and dead letters.

use crate::run::{Attempt, KillId, Outcome, RunId};
use crate::wire::time;

/// Run that this worker claimed or is about to claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Number of the run.
    pub run: RunId,
    /// Execution by this worker, from 1; a new one begins after an execution was lost.
    pub attempt: Attempt,
    /// Attempt as the server counts it; `None` before the claim was accepted or where the server does not count.
    pub claim: Option<Attempt>,
    /// Number of executions that were lost.
    pub losses: u32,
    /// Random text in the environment of the job's processes and in the name of the script's file, by which leftovers
    /// are recognised.
    pub token: String,
    /// Path of the run's log at the server; `None` while there is none.
    pub run_log: Option<String>,
    /// Start of the script; `None` before it was started.
    pub start: Option<Start>,
    /// End of the run; `None` while it is not over.
    pub end: Option<StoredEnd>,
}

/// Start of a run's script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Process id of the script, shown to people only.
    pub pid: i32,
    /// Timestamp of the start, in the notation in which it is sent.
    pub at: String,
}

/// End of a run, as the outbox stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEnd {
    /// Outcome of the run.
    pub outcome: Outcome,
    /// Bytes of output that the script wrote.
    pub output: u64,
    /// Timestamp of the end, in the notation in which it is sent.
    pub at: String,
}

impl OutboxEntry {
    /// Returns the number that log lines name `attempt`: the attempt as the server counts it.
    #[must_use]
    pub fn attempt_number(&self) -> Option<u32> {
        self.claim.map(|claim| claim.0)
    }

    /// Returns the attempt number that the job is told: the server's, plus one for each execution that this worker has
    /// lost. So each further execution of a run has a higher number than 1, whichever worker had the run before.
    #[must_use]
    pub fn told_attempt(&self) -> u32 {
        let earlier_claims = self.claim.map_or(0, |claim| claim.0.saturating_sub(1));
        self.attempt.0.saturating_add(earlier_claims)
    }
}

impl StoredEnd {
    /// Makes an end without output, as of now, for runs that no shim reports on.
    #[must_use]
    pub fn now(outcome: Outcome) -> Self {
        Self { outcome, output: 0, at: time::sent(chrono::Utc::now()) }
    }
}

/// Origin of a run that the upstream knows by a key of its own; its number was minted by the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOrigin {
    /// Number of the run on this worker. No number is minted twice, not even after its run is forgotten.
    pub run: RunId,
    /// Key of the run at the upstream; no two runs have the same.
    pub key: String,
    /// Work to do, in the notation of the upstream.
    pub work: String,
    /// Part of the run's output that the upstream has.
    pub told: ToldExtent,
}

/// Extent up to which the upstream has the output and the journal of a run, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToldExtent {
    /// Bytes of output that the upstream has.
    pub output: u64,
    /// Bytes of the journal that the upstream has.
    pub journal: u64,
}

/// Kill request that this worker received or took, until it was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KillEntry {
    /// Number of the request.
    pub kill: KillId,
    /// Run to be killed; `None` until it is known to be one of this worker.
    pub run: Option<RunId>,
    /// Progress of the request.
    pub phase: KillPhase,
}

/// Progress of a kill request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillPhase {
    /// An order or a list named the request.
    Received,
    /// The request is for this worker to carry out.
    Taken,
    /// No process of the run is alive any more.
    Dead,
}

/// Fact that the server did not take, kept for the operator to see: given up, or rejected several times and still
/// tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// UTC timestamp at which the fact was given up or rejected.
    pub at: String,
    /// Run that the fact is about.
    pub run: RunId,
    /// Kind of fact: `log` or `result`; earlier versions also gave up a `start`.
    pub what: String,
    /// Reason, as the server or the client gave it.
    pub reason: String,
}

#[cfg(test)]
mod tests;
