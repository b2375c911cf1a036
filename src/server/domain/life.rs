//! A run's life as the server sees it: what a change asks for, and whether it may have it. Pure.
//!
//! The original saves whatever it is sent, and acts again on a run that is over each time. Here every
//! change is a step that is checked: a claim is for a run that nobody has, only its worker may say how
//! it goes on, and a returned run is final. The same change said again is accepted and does nothing,
//! because a worker that got no answer says everything twice.

use super::model::{Run, RunExit, RunState, Timestamp, WorkerId};
use crate::run::Attempt;

#[cfg(test)]
mod tests;

/// What somebody wants changed of a run. `None`: not mentioned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// `Some(None)` gives the run back.
    pub enqueue_dts: Option<Option<Timestamp>>,
    /// Who claims it. `null` is ignored, as the original does.
    pub worker: Option<WorkerId>,
    /// When the script was started.
    pub start_dts: Option<Option<Timestamp>>,
    /// When it was over.
    pub return_dts: Option<Option<Timestamp>>,
    /// Whether it succeeded.
    pub return_success: Option<Option<bool>>,
    /// For people to see.
    pub pid: Option<Option<i64>>,
    /// How it ended.
    pub exit: Option<RunExit>,
}

/// Who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A worker, and which attempt it speaks of, if it says.
    Worker(WorkerId, Option<Attempt>),
    /// An operator.
    Operator,
}

/// What happened to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeEvent {
    /// It was claimed.
    Claimed,
    /// It may be claimed again.
    GivenBack,
    /// Its script runs.
    Started,
    /// It is over.
    Returned,
}

/// A change that may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The run afterwards.
    pub run: Run,
    /// What happened, in order; nothing for what was known before.
    pub facts: Vec<LifeEvent>,
}

/// Why a change is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LifeRefusal {
    /// Another worker has it.
    #[error("the run is another worker's")]
    Theirs,
    /// It was claimed already.
    #[error("the run is claimed already")]
    Claimed,
    /// It is spoken of as claimed, and is not.
    #[error("the run is not claimed")]
    NotClaimed,
    /// It is over.
    #[error("the run is over")]
    Final,
    /// It is not the time to claim it: not due yet, disabled, or another run of the job is active.
    #[error("the run is not to be claimed now")]
    NotDue,
    /// Another attempt is under way.
    #[error("the run is in a later attempt")]
    OldAttempt,
    /// The change makes no sense by itself.
    #[error("{0}")]
    Malformed(&'static str),
}

/// Makes a change, if it may be made.
///
/// # Errors
/// Why it may not.
pub fn change(run: &Run, patch: &Patch, who: Who) -> Result<Step, LifeRefusal> {
    let mut step = Step { run: run.clone(), facts: Vec::new() };
    let claim = match (patch.enqueue_dts, patch.worker, who) {
        (Some(Some(at)), worker, who) => Some((at, claimant(worker, who)?)),
        (None, Some(worker), who) => {
            // Naming the worker that has it is no change.
            claimant(Some(worker), who)?;
            if run.worker != Some(worker) {
                return Err(LifeRefusal::Malformed("worker is changed together with enqueue_dts only"));
            }
            None
        }
        _ => None,
    };
    if says_nothing_new(run, patch, claim) {
        check_owner(run, who)?;
        return Ok(step);
    }
    if let Some((at, worker)) = claim {
        claimed(&mut step, at, worker)?;
    } else {
        check_owner(run, who)?;
        check_attempt(run, who)?;
    }
    if patch.enqueue_dts == Some(None) {
        return given_back(step);
    }
    if let Some(start) = patch.start_dts {
        started(&mut step, start)?;
    }
    if let Some(pid) = patch.pid {
        // Informative, so a run that is over keeps the one it had.
        match step.run.state() {
            RunState::Completed => return Err(LifeRefusal::Final),
            RunState::Scheduled => return Err(LifeRefusal::NotClaimed),
            RunState::InQueue | RunState::Started => step.run.pid = pid,
        }
    }
    match (patch.return_dts, patch.return_success) {
        (None, None) => {}
        (Some(Some(at)), Some(Some(success))) => returned(&mut step, at, success, patch.exit)?,
        _ => return Err(LifeRefusal::Malformed("return_dts and return_success are set together")),
    }
    Ok(step)
}

/// Whom a claim is for. A worker claims for itself.
fn claimant(named: Option<WorkerId>, who: Who) -> Result<WorkerId, LifeRefusal> {
    match (named, who) {
        (None, Who::Worker(me, _)) => Ok(me),
        (Some(worker), Who::Worker(me, _)) if worker != me => Err(LifeRefusal::Theirs),
        (Some(worker), _) => Ok(worker),
        (None, Who::Operator) => Err(LifeRefusal::Malformed("a claim names the worker")),
    }
}

fn says_nothing_new(run: &Run, patch: &Patch, claim: Option<(Timestamp, WorkerId)>) -> bool {
    // Who says its claim of a run that is over would execute it: that is refused, however it ended.
    let is_late_claim = claim.is_some() && patch.return_dts.is_none() && run.state() == RunState::Completed;
    !is_late_claim
        && claim.is_none_or(|(at, worker)| run.enqueue_dts == Some(at) && run.worker == Some(worker))
        && patch.enqueue_dts.is_none_or(|at| run.enqueue_dts == at)
        && patch.start_dts.is_none_or(|at| run.start_dts == at.map(|at| not_before(run.enqueue_dts, at)))
        && patch.return_dts.is_none_or(|at| run.return_dts == at.map(|at| not_before(run.start_dts, at)))
        && patch.return_success.is_none_or(|success| run.return_success == success)
        && patch.pid.is_none_or(|pid| run.pid == pid)
}

/// Clocks are the worker's, and may step back between two of its words.
fn not_before(earlier: Option<Timestamp>, at: Timestamp) -> Timestamp {
    earlier.map_or(at, |earlier| earlier.max(at))
}

/// Only its worker says how a run goes on; nobody has one that is not claimed.
fn check_owner(run: &Run, who: Who) -> Result<(), LifeRefusal> {
    match (who, run.worker) {
        (Who::Worker(me, _), Some(worker)) if worker != me => Err(LifeRefusal::Theirs),
        _ => Ok(()),
    }
}

/// A worker that tells of an attempt tells of the one under way.
fn check_attempt(run: &Run, who: Who) -> Result<(), LifeRefusal> {
    match who {
        Who::Worker(_, Some(attempt)) if attempt != run.attempt => Err(LifeRefusal::OldAttempt),
        _ => Ok(()),
    }
}

fn claimed(step: &mut Step, at: Timestamp, worker: WorkerId) -> Result<(), LifeRefusal> {
    let run = &mut step.run;
    match run.state() {
        RunState::Completed => return Err(LifeRefusal::Final),
        RunState::InQueue | RunState::Started if run.worker == Some(worker) => return Err(LifeRefusal::Claimed),
        RunState::InQueue | RunState::Started => return Err(LifeRefusal::Theirs),
        RunState::Scheduled if run.worker.is_some_and(|pinned| pinned != worker) => return Err(LifeRefusal::Theirs),
        RunState::Scheduled => {}
    }
    run.worker = Some(worker);
    run.enqueue_dts = Some(at);
    run.attempt = run.attempt.next();
    step.facts.push(LifeEvent::Claimed);
    Ok(())
}

fn given_back(mut step: Step) -> Result<Step, LifeRefusal> {
    match step.run.state() {
        RunState::Completed => Err(LifeRefusal::Final),
        // A reset of what nobody has claimed: said again, or late.
        RunState::Scheduled => Ok(step),
        RunState::InQueue | RunState::Started => {
            give_back(&mut step.run);
            step.facts.push(LifeEvent::GivenBack);
            Ok(step)
        }
    }
}

/// Makes a run claimable again. Its next claim is another attempt.
pub fn give_back(run: &mut Run) {
    (run.enqueue_dts, run.start_dts, run.pid) = (None, None, None);
    if !run.pinned {
        run.worker = None;
    }
}

fn started(step: &mut Step, start: Option<Timestamp>) -> Result<(), LifeRefusal> {
    let run = &mut step.run;
    match (run.state(), start) {
        (RunState::Completed, _) => Err(LifeRefusal::Final),
        (RunState::Scheduled, _) => Err(LifeRefusal::NotClaimed),
        (_, None) => Err(LifeRefusal::Malformed("a start is taken back together with enqueue_dts only")),
        (RunState::InQueue, Some(at)) => {
            run.start_dts = Some(not_before(run.enqueue_dts, at));
            step.facts.push(LifeEvent::Started);
            Ok(())
        }
        // The original worker resets and starts again under the same claim; the later time counts.
        (RunState::Started, Some(at)) => {
            run.start_dts = Some(not_before(run.enqueue_dts, at));
            Ok(())
        }
    }
}

fn returned(step: &mut Step, at: Timestamp, success: bool, exit: Option<RunExit>) -> Result<(), LifeRefusal> {
    let run = &mut step.run;
    match run.state() {
        RunState::Completed => return Err(LifeRefusal::Final),
        RunState::Scheduled => return Err(LifeRefusal::NotClaimed),
        RunState::InQueue | RunState::Started => {}
    }
    // What never started counts as started when it was over, or it would be in the queue for ever.
    run.start_dts.get_or_insert(not_before(run.enqueue_dts, at));
    run.return_dts = Some(not_before(run.start_dts, at));
    run.return_success = Some(success);
    run.exit = exit.or(run.exit);
    step.facts.push(LifeEvent::Returned);
    Ok(())
}

/// Whether somebody may write the log of a run: who executes it, while it lasts.
///
/// # Errors
/// Why not.
pub fn may_log(run: &Run, who: Who) -> Result<(), LifeRefusal> {
    check_owner(run, who)?;
    check_attempt(run, who)?;
    match (run.state(), who) {
        (RunState::Completed, _) => Err(LifeRefusal::Final),
        (RunState::Scheduled, Who::Worker(..)) => Err(LifeRefusal::NotClaimed),
        _ => Ok(()),
    }
}

/// Ends a run that nobody has claimed.
pub fn cancel(run: &mut Run, now: Timestamp) {
    run.enqueue_dts.get_or_insert(now);
    run.start_dts.get_or_insert(not_before(run.enqueue_dts, now));
    run.return_dts = Some(not_before(run.start_dts, now));
    run.return_success = Some(false);
    run.exit = Some(RunExit::Killed);
}

/// What becomes of a run whose worker was lost: `true` if it is to be executed again. Never one that was to be killed.
#[must_use]
pub fn lost(run: &mut Run, kill: Option<RunExit>, again: bool, max_losses: u32, now: Timestamp) -> bool {
    run.losses += 1;
    if kill.is_none() && again && run.losses < max_losses {
        give_back(run);
        return true;
    }
    run.enqueue_dts.get_or_insert(now);
    run.start_dts.get_or_insert(not_before(run.enqueue_dts, now));
    run.return_dts = Some(not_before(run.start_dts, now));
    run.return_success = Some(false);
    run.exit = Some(kill.unwrap_or(RunExit::Lost));
    false
}
