//! Changes of a run: a claim, a start, a result, or that the worker gives the run back. [`life::change`] decides; the step, and
//! all that follows from it, is written in the same transaction.

use chrono::SubsecRound;

use super::claim_rule::{ask_for_claim_rule, claim_rule};
use super::db::{Reading, Transaction};
use super::fires::record;
use super::kill_records::kill_of_attempt;
use super::late_results;
use super::run_ends::{ask_for_followers, follow, read_followers};
use super::runs::{ClockNotes, find, update};
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::domain::fire::{Fire, FireReason, WorkerAttempt};
use crate::server::domain::life::late::late_result;
use crate::server::domain::life::{
    self, Actor, AttemptKill, ChangeFacts, ClaimRule, LifeEvent, LifeRefusal, Patch, Step,
};
use crate::server::domain::model::{Run, Timestamp, WorkerId};
use crate::server::store::changes::Change;

/// Outcome of a change of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunChange {
    /// The change is made.
    Made(Box<Step>),
    /// The change is not allowed. The result of a worker that reports too late is kept ([`late_result`]), if it
    /// had the attempt.
    Refused(LifeRefusal),
    /// There is no such run.
    Unknown,
}

impl Store {
    /// Applies a patch to a run, if [`life::change`] allows it, and does all that follows: retries, children, counts of
    /// failures.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn change_run(
        &self,
        run: RunId,
        patch: &Patch,
        who: Actor,
        now: Timestamp,
    ) -> Result<RunChange, StoreError> {
        let patch = with_stored_precision(patch);
        self.change(move |transaction| {
            ask_for_facts(transaction, run, &patch, who, now);
            let Some(before) = find(transaction, run)? else { return Ok(RunChange::Unknown) };
            Ok(match apply(transaction, &before, &patch, who, now)? {
                Ok(step) => RunChange::Made(Box::new(step)),
                Err(refusal) => RunChange::Refused(refusal),
            })
        })
        .await
    }
}

/// Applies a patch, of the stored precision, to a run within a change; see [`Store::change_run`].
fn apply(
    transaction: &mut Transaction<'_>,
    before: &Run,
    patch: &Patch,
    who: Actor,
    now: Timestamp,
) -> Result<Result<Step, LifeRefusal>, StoreError> {
    let step = match decide(transaction, before, patch, who, now)? {
        Ok(step) => step,
        Err(refusal) => return Ok(Err(refusal)),
    };
    publish(transaction, &step);
    carry_out(transaction, before, &step, who, now)?;
    Ok(Ok(step))
}

/// Decides about a patch, of the stored precision. A result that comes too late is kept.
pub(super) fn decide(
    transaction: &mut Transaction<'_>,
    before: &Run,
    patch: &Patch,
    who: Actor,
    now: Timestamp,
) -> Result<Result<Step, LifeRefusal>, StoreError> {
    let facts = read_facts(transaction, before, patch, who, now)?;
    let decided = life::change(before, patch, who, &facts);
    if let Err(refusal) = decided
        && let Some(late) = late_result(before.id, patch, who, refusal, now)
    {
        late_results::keep(transaction, before, &late)?;
    }
    Ok(decided)
}

/// Publishes the events of a step, before the changes that follow from it.
pub(super) fn publish(transaction: &mut Transaction<'_>, step: &Step) {
    let run = step.run.id;
    transaction.publish_on_commit(step.events.iter().map(|event| match event {
        LifeEvent::Claimed => Change::RunEnqueued(run),
        LifeEvent::GivenBack => Change::RunGivenBack(run),
        LifeEvent::Started => Change::RunStarted(run),
        LifeEvent::Returned | LifeEvent::Closed => Change::RunReturned(run),
    }));
}

/// Writes a step that was decided about a report of `who`.
pub(super) fn carry_out(
    transaction: &mut Transaction<'_>,
    before: &Run,
    step: &Step,
    who: Actor,
    now: Timestamp,
) -> Result<(), StoreError> {
    if step.run != *before {
        let at = |event| matches!(who, Actor::Worker(..)) && step.events.contains(&event);
        let notes = ClockNotes {
            claimed: at(LifeEvent::Claimed).then_some(now),
            started: at(LifeEvent::Started).then_some(now),
            closed: None,
        };
        write_step(transaction, step, notes, now)?;
    }
    if let (true, Actor::Worker(worker, _)) = (step.events.contains(&LifeEvent::GivenBack), who) {
        record(transaction, &given_back(before, worker, now))?;
    }
    Ok(())
}

/// Asks ahead for what [`decide`] and [`carry_out`] are going to read, as far as the patch tells.
pub(super) fn ask_for_facts(reading: &Reading<'_>, run: RunId, patch: &Patch, who: Actor, now: Timestamp) {
    match who {
        Actor::Worker(worker, _) if patch.enqueue_dts.flatten().is_some() => {
            ask_for_claim_rule(reading, run, worker, now);
        }
        _ if patch.return_dts.flatten().is_some() => ask_for_followers(reading, run),
        _ => {}
    }
}

/// Reads the facts on which a change of a run depends, and no others: each costs every report of every run a query.
fn read_facts(
    reading: &Reading<'_>,
    run: &Run,
    patch: &Patch,
    who: Actor,
    now: Timestamp,
) -> Result<ChangeFacts, StoreError> {
    let kill = if life::depends_on_kill(patch) { kill_of_attempt(reading, run)? } else { AttemptKill::Unrequested };
    let claim_rule = match who {
        Actor::Worker(worker, _) if life::depends_on_claim_rule(run, patch, who) => {
            claim_rule(reading, run, worker, now)?
        }
        _ => ClaimRule::Allows,
    };
    Ok(ChangeFacts { kill, claim_rule, now })
}

/// Writes a step of a run's life and does what follows from it.
pub(super) fn write_step(
    transaction: &mut Transaction<'_>,
    step: &Step,
    notes: ClockNotes,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Read before the run is written, on which it does not depend: so it can be asked for ahead.
    let followers = if step.ends() { read_followers(transaction, &step.run)? } else { None };
    let closed = step.events.contains(&LifeEvent::Closed).then_some(now);
    update(transaction, &step.run, ClockNotes { closed, ..notes })?;
    followers.map_or(Ok(()), |followers| follow(transaction, &step.run, &followers, now))
}

/// Returns the fire that records the present attempt of a run as given back, whether or not its worker named it.
fn given_back(run: &Run, worker: WorkerId, at: Timestamp) -> Fire {
    let reason = FireReason::GivenBack(WorkerAttempt { run: run.id, attempt: run.attempt, worker });
    Fire { job: run.job, due: run.schedule_dts, run: Some(run.id), reason, at }
}

/// Truncates timestamps to microseconds, as the store has them: a report that is repeated must equal what was stored of
/// it.
pub(super) fn with_stored_precision(patch: &Patch) -> Patch {
    let truncated = |at: Option<Option<Timestamp>>| at.map(|at| at.map(|at| at.trunc_subsecs(6)));
    Patch {
        enqueue_dts: truncated(patch.enqueue_dts),
        start_dts: truncated(patch.start_dts),
        return_dts: truncated(patch.return_dts),
        ..patch.clone()
    }
}
