//! Changes of a run: a claim, a start, a result, or that the worker gives the run back. [`life::change`] decides; the step, and
//! all that follows from it, is written in the same transaction.

use chrono::SubsecRound;

use super::claim_rule::claim_rule;
use super::db::{Reading, Transaction};
use super::fires::record;
use super::kill_records::kill_of_attempt;
use super::late_results;
use super::run_ends::follow;
use super::runs::{find, update};
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
pub(super) fn apply(
    transaction: &mut Transaction<'_>,
    before: &Run,
    patch: &Patch,
    who: Actor,
    now: Timestamp,
) -> Result<Result<Step, LifeRefusal>, StoreError> {
    let facts = read_facts(transaction, before, patch, who, now)?;
    let step = match life::change(before, patch, who, &facts) {
        Ok(step) => step,
        Err(refusal) => {
            if let Some(late) = late_result(before.id, patch, who, refusal, now) {
                late_results::keep(transaction, before, &late)?;
            }
            return Ok(Err(refusal));
        }
    };
    if step.run != *before {
        write_step(transaction, &step, now)?;
    }
    if let (true, Actor::Worker(worker, _)) = (step.events.contains(&LifeEvent::GivenBack), who) {
        record(transaction, &given_back(before, worker, now))?;
    }
    if let Actor::Worker(..) = who {
        record_receipts(transaction, &step, now)?;
    }
    Ok(Ok(step))
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

/// Writes a step of a run's life and does what follows from it. The changes of the run itself are published before those
/// that follow.
pub(super) fn write_step(transaction: &mut Transaction<'_>, step: &Step, now: Timestamp) -> Result<(), StoreError> {
    let run = step.run.id;
    update(transaction, &step.run)?;
    if step.events.contains(&LifeEvent::Closed) {
        record_closed(transaction, run, now)?;
    }
    transaction.publish_on_commit(step.events.iter().map(|event| match event {
        LifeEvent::Claimed => Change::RunEnqueued(run),
        LifeEvent::GivenBack => Change::RunGivenBack(run),
        LifeEvent::Started => Change::RunStarted(run),
        LifeEvent::Returned | LifeEvent::Closed => Change::RunReturned(run),
    }));
    if step.ends() {
        follow(transaction, &step.run, now)?;
    }
    Ok(())
}

/// Records by the server's clock when a worker reported the claim and the start of a run, since the worker's clock may
/// be wrong.
fn record_receipts(transaction: &mut Transaction<'_>, step: &Step, now: Timestamp) -> Result<(), StoreError> {
    if step.events.contains(&LifeEvent::Claimed)
        && let Some(claimed) = step.run.enqueue_dts
    {
        let lead = now.timestamp_micros() - claimed.timestamp_micros();
        transaction.write(
            "UPDATE run SET clock_lead = ?1, start_heard = NULL, came_due = coalesce(came_due, ?2) WHERE id = ?3",
            &[&lead, &now, &step.run.id],
        )?;
    }
    if step.events.contains(&LifeEvent::Started) {
        transaction.write("UPDATE run SET start_heard = ? WHERE id = ?", &[&now, &step.run.id])?;
    }
    Ok(())
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

/// Records that the server itself ended a run, and when: the other times of the run are by its worker's clock.
fn record_closed(transaction: &mut Transaction<'_>, run: RunId, now: Timestamp) -> Result<(), StoreError> {
    transaction.write("UPDATE run SET closed = ? WHERE id = ?", &[&now, &run])?;
    Ok(())
}
