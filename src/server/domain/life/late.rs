//! Late results: decides which refused reports of workers are kept, and why they do not count. Pure.

use super::{Actor, LifeRefusal, Patch};
use crate::run::{Attempt, RunId};
use crate::server::domain::fire::WorkerAttempt;
use crate::server::domain::model::{Run, RunExit, RunState, Timestamp, WorkerId};

#[cfg(test)]
mod tests;

/// Result of an attempt that its worker reported too late to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateResult {
    /// Run that the worker reported on.
    pub run: RunId,
    /// Attempt that the worker named; `None` from the original worker, which names none.
    pub attempt: Option<Attempt>,
    /// Worker that reported the result.
    pub worker: WorkerId,
    /// Time of the report, by the server's clock.
    pub reported: Timestamp,
    /// Time of the end, by the worker's clock; `None` where an earlier version did not keep it.
    pub returned: Option<Timestamp>,
    /// Whether the attempt succeeded; `None` where an earlier version did not keep it.
    pub success: Option<bool>,
    /// Way in which the attempt ended, where the worker says more than success or failure.
    pub exit: Option<RunExit>,
    /// Reason why the result does not count; `None` where an earlier version did not keep it.
    pub reason: Option<LateReason>,
}

/// Reason why a result does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LateReason {
    /// The run was over already.
    Over,
    /// A later attempt of the run had begun on the same worker.
    LaterAttempt,
    /// Another worker had the run.
    AnotherWorker,
    /// The run was given back or lost, and no worker had claimed it again.
    Unclaimed,
}

impl LateReason {
    /// All reasons, for reading a code.
    pub const ALL: [Self; 4] = [Self::Over, Self::LaterAttempt, Self::AnotherWorker, Self::Unclaimed];

    /// Returns the code in the store and in the operator API.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Over => "over",
            Self::LaterAttempt => "later_attempt",
            Self::AnotherWorker => "another_worker",
            Self::Unclaimed => "unclaimed",
        }
    }

    /// Parses a code; `None` for one of a later version.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    fn of(refusal: LifeRefusal) -> Option<Self> {
        match refusal {
            LifeRefusal::Final => Some(Self::Over),
            LifeRefusal::OldAttempt => Some(Self::LaterAttempt),
            LifeRefusal::Theirs => Some(Self::AnotherWorker),
            LifeRefusal::NotClaimed => Some(Self::Unclaimed),
            // A claim that is refused has executed nothing, and a malformed report has no result.
            LifeRefusal::Claimed | LifeRefusal::NotDue | LifeRefusal::Malformed(_) => None,
        }
    }
}

/// Returns the result that a refused change reports and that would be lost otherwise; `None` if there is none: a late
/// claim or start says nothing that is worth keeping, and an operator is told of the refusal.
#[must_use]
pub fn late_result(
    run: RunId,
    patch: &Patch,
    who: Actor,
    refusal: LifeRefusal,
    reported: Timestamp,
) -> Option<LateResult> {
    let Actor::Worker(worker, attempt) = who else { return None };
    let (returned, success) = (patch.return_dts.flatten()?, patch.return_success.flatten()?);
    let reason = LateReason::of(refusal)?;
    Some(LateResult {
        run,
        attempt,
        worker,
        reported,
        returned: Some(returned),
        success: Some(success),
        exit: patch.exit,
        reason: Some(reason),
    })
}

/// Returns whether the worker of a late result is known to have had the attempt that it names, or any attempt of the run
/// if it names none, as the original worker does. A result of anybody else is a mistake or a forgery, and is not kept.
///
/// `run` is the run as it is, and tells its present attempt; `earlier` are the attempts that were lost or given back.
#[must_use]
pub fn had_attempt(late: &LateResult, run: &Run, earlier: &[WorkerAttempt]) -> bool {
    present_attempt(run).iter().chain(earlier).any(|had| {
        had.run == late.run && had.worker == late.worker && late.attempt.is_none_or(|named| named == had.attempt)
    })
}

/// Returns the attempt that a run is in or ended in; `None` while no worker has the run.
fn present_attempt(run: &Run) -> Option<WorkerAttempt> {
    // A pinned run that is cancelled before any claim is over and has a worker, but never had an attempt.
    let is_attempted = run.state() != RunState::Scheduled && run.attempt >= Attempt::FIRST;
    let worker = run.worker.filter(|_| is_attempted)?;
    Some(WorkerAttempt { run: run.id, attempt: run.attempt, worker })
}
