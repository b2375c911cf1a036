//! Decision about an execution that has no end: whether the run is executed again, by whom, or what is reported. Pure.

use crate::run::worker_lifecycle::Claims;
use crate::run::{Attempt, Cause, IncompleteRuns, Outcome};

#[cfg(test)]
mod tests;

/// Executions that never began after which a run is given up.
const MAX_NEVER_BEGAN: u32 = 10;

/// Way in which an execution failed to end, as far as its process is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The script was started, and its shim died.
    ShimDied,
    /// The script was never started, by all that is known on this machine.
    NeverBegan,
}

/// Facts that the decision depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExecutionLossFacts {
    pub(super) loss: Loss,
    /// Whether the outbox has a start of this attempt, which proves that the script was started.
    pub(super) start_is_written: bool,
    /// Attempt that was lost.
    pub(super) attempt: Attempt,
    /// Executions of the run that were lost before this one.
    pub(super) losses: u32,
    pub(super) policy: IncompleteRuns,
    pub(super) max_attempts: u32,
    /// Cause of a stop that was requested meanwhile.
    pub(super) stopped: Option<Cause>,
    pub(super) claims: Claims,
}

/// Decision about a lost execution. `losses` counts this one, unless its script was never started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LossVerdict {
    /// The run is executed again, as its next attempt.
    ExecuteAgain { losses: u32 },
    /// The next attempt is written to disk, for the next start of the worker to execute.
    LeaveToNextStart { losses: u32 },
    /// The run is over, with this outcome; a run that is given back has the outcome that says so.
    Report { losses: u32, outcome: Outcome },
}

/// Decides about a lost execution.
///
/// A run whose script was never started is repeated whatever the settings say, but not for ever.
pub(super) fn decide(facts: &ExecutionLossFacts) -> LossVerdict {
    let has_begun = match facts.loss {
        Loss::ShimDied => true,
        // A run that never begins counts as begun in the end, so that it cannot be repeated without end.
        Loss::NeverBegan => facts.start_is_written || facts.attempt.0 >= MAX_NEVER_BEGAN,
    };
    let losses = facts.losses + u32::from(has_begun);
    let lost = LossVerdict::Report { losses, outcome: Outcome::Lost(losses.max(1)) };
    let may_repeat = !has_begun || facts.policy == IncompleteRuns::Reset;
    let is_spent =
        losses >= facts.max_attempts || facts.attempt.0 >= MAX_NEVER_BEGAN.saturating_add(facts.max_attempts);
    match facts.stopped {
        // A run that is to be given back counts as given back even if its execution was lost: nothing of it is left.
        Some(cause) if !has_begun || cause == Cause::GivenBack => {
            LossVerdict::Report { losses, outcome: Outcome::Cancelled(cause) }
        }
        Some(_) => lost,
        None if !may_repeat || is_spent => lost,
        None => match facts.claims {
            Claims::Allowed | Claims::Paused => LossVerdict::ExecuteAgain { losses },
            Claims::Closed => LossVerdict::LeaveToNextStart { losses },
        },
    }
}
