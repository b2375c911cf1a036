//! Life cycle of a run on the server: checks each requested change and applies it. Pure.
//!
//! The original saves whatever it receives, and acts again on a finished run each time. Here every change is a step
//! that is checked: a claim is for a run that no other worker has, only the worker that claimed it may report how it
//! goes on, and a returned run is final. A repeated change is accepted and does nothing, because a worker that received
//! no answer sends everything twice.
//!
//! The tables are complete: what a change depends on beside the run itself is among the [`ChangeFacts`], and the store
//! writes the step as it is.

use super::model::{KillCause, OnLost, Run, RunExit, RunState, Timestamp, WorkerId};
use crate::run::Attempt;

pub mod kill_or_cancel;
pub mod late;

#[cfg(test)]
mod tests;

/// Requested change of a run; a field that is `None` was not mentioned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// Time of the claim, by the worker's clock; `Some(None)` gives the run back.
    pub enqueue_dts: Option<Option<Timestamp>>,
    /// Worker that claims the run. `null` is ignored, as the original does.
    pub worker: Option<WorkerId>,
    /// Time at which the script was started, by the worker's clock.
    pub start_dts: Option<Option<Timestamp>>,
    /// Time at which the run was over, by the worker's clock.
    pub return_dts: Option<Option<Timestamp>>,
    /// Whether the run succeeded; set together with `return_dts`.
    pub return_success: Option<Option<bool>>,
    /// Process id, for people to see.
    pub pid: Option<Option<i64>>,
    /// Way in which the run ended, where the worker says more than success or failure.
    pub exit: Option<RunExit>,
}

/// Sender of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A worker, and the attempt that it speaks of; the original worker names none.
    Worker(WorkerId, Option<Attempt>),
    /// An operator, or a client with the operator's token.
    Operator,
}

/// Facts beside the run on which a change of it depends. The store reads them in the transaction of the change; where
/// [`depends_on_claim_rule`] or [`depends_on_kill`] says no, it need not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeFacts {
    /// Kill requests for the attempt that is under way.
    pub kill: AttemptKill,
    /// Answer of the claim rule, for a worker that claims the run.
    pub claim_rule: ClaimRule,
    /// Time of the change, by the server's clock.
    pub now: Timestamp,
}

/// Kill requests for one attempt of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptKill {
    /// No kill was requested.
    Unrequested,
    /// A kill was requested, but the worker has taken no request.
    Requested(KillCause),
    /// The worker has taken a request.
    Taken {
        /// Cause of the first request.
        first: KillCause,
        /// Cause of the first request that was taken.
        taken: KillCause,
    },
}

impl AttemptKill {
    /// Returns how an attempt that ends without its worker's report counts: a request that the worker did not take
    /// decides as well, because the worker can end the attempt no more.
    fn exit_at_all(self) -> Option<RunExit> {
        match self {
            Self::Unrequested => None,
            Self::Requested(first) | Self::Taken { first, .. } => Some(exit_of(first)),
        }
    }

    /// Returns how an attempt that its worker reports as failed counts: a request that the worker did not know of did
    /// not end it.
    fn exit_if_failed(self) -> Option<RunExit> {
        match self {
            Self::Unrequested | Self::Requested(_) => None,
            Self::Taken { taken, .. } => Some(exit_of(taken)),
        }
    }
}

fn exit_of(cause: KillCause) -> RunExit {
    match cause {
        KillCause::TimedOut => RunExit::TimedOut,
        KillCause::Asked | KillCause::Replaced => RunExit::Killed,
    }
}

/// Answer of the claim rule ([`super::schedule::due_decision::may_claim`]): whether the run may run now, on this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimRule {
    /// The worker may have the run.
    Allows,
    /// The run is not due, something is disabled, or another run of the job is active.
    Forbids,
}

/// Event in the life of a run, that a change brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeEvent {
    /// The run was claimed.
    Claimed,
    /// The run was given back, and may be claimed again.
    GivenBack,
    /// The script of the run was started.
    Started,
    /// The run is over, as its worker reported or as the operator decided.
    Returned,
    /// The run is over, ended by the server in place of its worker: it was given back or lost and is not to run again.
    Closed,
}

/// Result of an accepted change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The run after the change.
    pub run: Run,
    /// Events in order; empty for a change that repeats what was known before.
    pub events: Vec<LifeEvent>,
}

impl Step {
    /// Returns whether the run is over since this step.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.events.iter().any(|event| matches!(event, LifeEvent::Returned | LifeEvent::Closed))
    }
}

/// Reason why a change is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LifeRefusal {
    /// The run belongs to another worker.
    #[error("the run is another worker's")]
    Theirs,
    /// The worker has claimed the run already.
    #[error("the run is claimed already")]
    Claimed,
    /// The change assumes a claim that the run does not have.
    #[error("the run is not claimed")]
    NotClaimed,
    /// The run is over, and a returned run is final.
    #[error("the run is over")]
    Final,
    /// The run may not be claimed now: it is not due, is disabled, or another run of the job is active.
    #[error("the run is not to be claimed now")]
    NotDue,
    /// The change speaks of an earlier attempt than the current one.
    #[error("the run is in a later attempt")]
    OldAttempt,
    /// The change makes no sense by itself; the text says why.
    #[error("{0}")]
    Malformed(&'static str),
}

/// Returns whether a change can depend on [`ChangeFacts::claim_rule`]: a worker claims a run that is unclaimed. An
/// operator who claims for a worker may do so against the rule.
#[must_use]
pub fn depends_on_claim_rule(run: &Run, patch: &Patch, who: Actor) -> bool {
    matches!(who, Actor::Worker(..)) && run.state() == RunState::Scheduled && patch.enqueue_dts.flatten().is_some()
}

/// Returns whether a change can depend on [`ChangeFacts::kill`]: it gives the run back or reports it as failed.
#[must_use]
pub fn depends_on_kill(patch: &Patch) -> bool {
    patch.enqueue_dts == Some(None) || patch.return_success == Some(Some(false))
}

/// Checks a change and applies it to a copy of the run.
///
/// Times are taken as the worker wrote them, except that none comes before the one that precedes it. A run that failed
/// after its worker took a kill request counts as killed; one that succeeded all the same keeps its success. A run that
/// is given back although its kill was requested is over: it would be executed again otherwise.
///
/// # Errors
/// If the sender may not make this change, or the state of the run does not allow it.
pub fn change(run: &Run, patch: &Patch, who: Actor, facts: &ChangeFacts) -> Result<Step, LifeRefusal> {
    let mut step = Step { run: run.clone(), events: Vec::new() };
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
    // A worker that received no answer repeats its change. That is accepted whatever the state of the run is by now,
    // but not from another worker.
    if says_nothing_new(run, patch, claim) {
        check_owner(run, who)?;
        return Ok(step);
    }
    if let Some((at, worker)) = claim {
        // `claimed` compares the owner itself, and a claim begins a new attempt.
        claimed(&mut step, at, worker)?;
    } else {
        check_owner(run, who)?;
        check_attempt(run, who)?;
    }
    if patch.enqueue_dts == Some(None) {
        return given_back(step, facts);
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
        (Some(Some(at)), Some(Some(success))) => {
            // Kill requests are for the attempt before a claim, not for the one that begins with it.
            let killed = facts.kill.exit_if_failed().filter(|_| !success && claim.is_none());
            returned(&mut step, at, success, killed.or(patch.exit))?;
        }
        _ => return Err(LifeRefusal::Malformed("return_dts and return_success are set together")),
    }
    // Last, since a change that is wrong in itself is refused for that.
    let is_by_rule = matches!(who, Actor::Worker(..)) && step.events.contains(&LifeEvent::Claimed);
    if is_by_rule && facts.claim_rule == ClaimRule::Forbids {
        return Err(LifeRefusal::NotDue);
    }
    Ok(step)
}

/// Returns the worker that a claim is for. A worker can claim for itself only.
fn claimant(named: Option<WorkerId>, who: Actor) -> Result<WorkerId, LifeRefusal> {
    match (named, who) {
        (None, Actor::Worker(me, _)) => Ok(me),
        (Some(worker), Actor::Worker(me, _)) if worker != me => Err(LifeRefusal::Theirs),
        (Some(worker), _) => Ok(worker),
        (None, Actor::Operator) => Err(LifeRefusal::Malformed("a claim names the worker")),
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

/// Returns the later of two timestamps: they are the worker's, whose clock may be set back between two changes.
fn not_before(earlier: Option<Timestamp>, at: Timestamp) -> Timestamp {
    earlier.map_or(at, |earlier| earlier.max(at))
}

/// Refuses a worker that does not have the run; an unclaimed run refuses none here.
fn check_owner(run: &Run, who: Actor) -> Result<(), LifeRefusal> {
    match (who, run.worker) {
        (Actor::Worker(me, _), Some(worker)) if worker != me => Err(LifeRefusal::Theirs),
        _ => Ok(()),
    }
}

/// Refuses a worker that speaks of another attempt than the current one.
fn check_attempt(run: &Run, who: Actor) -> Result<(), LifeRefusal> {
    match who {
        Actor::Worker(_, Some(attempt)) if attempt != run.attempt => Err(LifeRefusal::OldAttempt),
        _ => Ok(()),
    }
}

fn claimed(step: &mut Step, at: Timestamp, worker: WorkerId) -> Result<(), LifeRefusal> {
    let run = &mut step.run;
    match run.state() {
        RunState::Completed => return Err(LifeRefusal::Final),
        // A second claim of the same worker, with another time, could execute the run twice.
        RunState::InQueue | RunState::Started if run.worker == Some(worker) => return Err(LifeRefusal::Claimed),
        RunState::InQueue | RunState::Started => return Err(LifeRefusal::Theirs),
        RunState::Scheduled if run.worker.is_some_and(|pinned| pinned != worker) => return Err(LifeRefusal::Theirs),
        RunState::Scheduled => {}
    }
    run.worker = Some(worker);
    run.enqueue_dts = Some(at);
    run.attempt = run.attempt.next();
    step.events.push(LifeEvent::Claimed);
    Ok(())
}

fn given_back(mut step: Step, facts: &ChangeFacts) -> Result<Step, LifeRefusal> {
    match step.run.state() {
        RunState::Completed => Err(LifeRefusal::Final),
        // A run that no worker has claimed is given back again, or late: that changes nothing.
        RunState::Scheduled => Ok(step),
        RunState::InQueue | RunState::Started => {
            match facts.kill.exit_at_all() {
                Some(exit) => close(&mut step, exit, facts.now),
                None => release(&mut step),
            }
            Ok(step)
        }
    }
}

/// Makes a run claimable again; a pinned run keeps its worker. The next claim begins another attempt.
fn release(step: &mut Step) {
    let run = &mut step.run;
    (run.enqueue_dts, run.start_dts, run.pid) = (None, None, None);
    if !run.pinned {
        run.worker = None;
    }
    step.events.push(LifeEvent::GivenBack);
}

/// Ends a run in place of its worker.
fn close(step: &mut Step, exit: RunExit, now: Timestamp) {
    end_as(&mut step.run, exit, now);
    step.events.push(LifeEvent::Closed);
}

/// Ends a run as failed by the server's clock; steps of its life that did not happen get the time of the end.
fn end_as(run: &mut Run, exit: RunExit, now: Timestamp) {
    run.enqueue_dts.get_or_insert(now);
    run.start_dts.get_or_insert(not_before(run.enqueue_dts, now));
    run.return_dts = Some(not_before(run.start_dts, now));
    run.return_success = Some(false);
    run.exit = Some(exit);
}

fn started(step: &mut Step, start: Option<Timestamp>) -> Result<(), LifeRefusal> {
    let run = &mut step.run;
    match (run.state(), start) {
        (RunState::Completed, _) => Err(LifeRefusal::Final),
        (RunState::Scheduled, _) => Err(LifeRefusal::NotClaimed),
        (_, None) => Err(LifeRefusal::Malformed("a start is taken back together with enqueue_dts only")),
        (RunState::InQueue, Some(at)) => {
            run.start_dts = Some(not_before(run.enqueue_dts, at));
            step.events.push(LifeEvent::Started);
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
    // A run that never started counts as started when it was over: lists that go by `start_dts` would otherwise show it in
    // the queue for ever.
    run.start_dts.get_or_insert(not_before(run.enqueue_dts, at));
    run.return_dts = Some(not_before(run.start_dts, at));
    run.return_success = Some(success);
    run.exit = exit.or(run.exit);
    step.events.push(LifeEvent::Returned);
    Ok(())
}

/// Checks that a sender may write the log of a run: the worker that executes it, until the run is over.
///
/// # Errors
/// If the run is another worker's, in another attempt, over or not claimed.
pub fn may_log(run: &Run, who: Actor) -> Result<(), LifeRefusal> {
    check_owner(run, who)?;
    check_attempt(run, who)?;
    match (run.state(), who) {
        (RunState::Completed, _) => Err(LifeRefusal::Final),
        (RunState::Scheduled, Actor::Worker(..)) => Err(LifeRefusal::NotClaimed),
        _ => Ok(()),
    }
}

/// Ends a run that no worker has claimed: as killed, with all of its times set to `now`.
#[must_use]
pub fn cancel(run: &Run, now: Timestamp) -> Step {
    let mut step = Step { run: run.clone(), events: vec![LifeEvent::Returned] };
    end_as(&mut step.run, RunExit::Killed, now);
    step
}

/// Facts beside the run that decide what its worker's loss does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossFacts {
    /// Kill requests for the attempt that is lost.
    pub kill: AttemptKill,
    /// Wish of the job for a run that is lost.
    pub on_lost: OnLost,
    /// Number of losses after which a run fails in any case.
    pub max_losses: u32,
    /// Time at which the worker was found lost, by the server's clock.
    pub now: Timestamp,
}

/// Applies the loss of the worker to a run that it has claimed: the run may be claimed again, or it is over and failed,
/// because its kill was requested, its job wants it so, or it was lost too often.
#[must_use]
pub fn lose(run: &Run, facts: &LossFacts) -> Step {
    let mut step = Step { run: run.clone(), events: Vec::new() };
    step.run.losses += 1;
    match (facts.kill.exit_at_all(), facts.on_lost) {
        (Some(exit), _) => close(&mut step, exit, facts.now),
        (None, OnLost::Retry) if step.run.losses < facts.max_losses => release(&mut step),
        (None, OnLost::Retry | OnLost::Fail) => close(&mut step, RunExit::Lost, facts.now),
    }
    step
}
