//! Changes of a run: a claim, a start, a result, or that the worker gives the run back. [`life::change`] decides; the step, and
//! all that follows from it, is written in the same transaction.

use chrono::SubsecRound;
use sqlx::sqlite::SqliteConnection;

use super::claim_rule::claim_rule;
use super::fires::record;
use super::kill_records::kill_of_attempt;
use super::late_results;
use super::rows::{self, micros};
use super::run_ends::follow;
use super::runs::find;
use super::{Store, StoreError, Writing};
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
        let mut writing = self.write().await?;
        let Some(before) = find(&mut writing, run).await? else { return Ok(RunChange::Unknown) };
        let patch = with_stored_precision(patch);
        let facts = read_facts(&mut writing, &before, &patch, who, now).await?;
        let step = match life::change(&before, &patch, who, &facts) {
            Ok(step) => step,
            Err(refusal) => {
                if let Some(late) = late_result(run, &patch, who, refusal, now)
                    && late_results::keep(&mut writing, &before, &late).await?
                {
                    writing.commit().await?;
                }
                return Ok(RunChange::Refused(refusal));
            }
        };
        if step.run != before {
            write_step(&mut writing, &step, now).await?;
        }
        if let (true, Actor::Worker(worker, _)) = (step.events.contains(&LifeEvent::GivenBack), who) {
            record(&mut writing, &given_back(&before, worker, now)).await?;
        }
        if let Actor::Worker(..) = who {
            record_receipts(&mut writing, &step, now).await?;
        }
        writing.commit().await?;
        Ok(RunChange::Made(Box::new(step)))
    }
}

/// Reads the facts on which a change of a run depends, and no others: each costs every report of every run a query.
async fn read_facts(
    connection: &mut SqliteConnection,
    run: &Run,
    patch: &Patch,
    who: Actor,
    now: Timestamp,
) -> Result<ChangeFacts, StoreError> {
    let kill =
        if life::depends_on_kill(patch) { kill_of_attempt(connection, run).await? } else { AttemptKill::Unrequested };
    let claim_rule = match who {
        Actor::Worker(worker, _) if life::depends_on_claim_rule(run, patch, who) => {
            claim_rule(connection, run, worker, now).await?
        }
        _ => ClaimRule::Allows,
    };
    Ok(ChangeFacts { kill, claim_rule, now })
}

/// Writes a step of a run's life and does what follows from it. The changes of the run itself are published before those
/// that follow.
pub(super) async fn write_step(writing: &mut Writing, step: &Step, now: Timestamp) -> Result<(), StoreError> {
    let run = step.run.id;
    update(writing, &step.run).await?;
    if step.events.contains(&LifeEvent::Closed) {
        record_closed(writing, run, now).await?;
    }
    writing.publish_on_commit(step.events.iter().map(|event| match event {
        LifeEvent::Claimed => Change::RunEnqueued(run),
        LifeEvent::GivenBack => Change::RunGivenBack(run),
        LifeEvent::Started => Change::RunStarted(run),
        LifeEvent::Returned | LifeEvent::Closed => Change::RunReturned(run),
    }));
    if step.ends() {
        follow(writing, &step.run, now).await?;
    }
    Ok(())
}

/// Records by the server's clock when a worker reported the claim and the start of a run, since the worker's clock may
/// be wrong.
async fn record_receipts(connection: &mut SqliteConnection, step: &Step, now: Timestamp) -> Result<(), StoreError> {
    if step.events.contains(&LifeEvent::Claimed)
        && let Some(claimed) = step.run.enqueue_dts
    {
        let query = sqlx::query(
            "UPDATE run SET clock_lead = ?1, start_heard = NULL, came_due = coalesce(came_due, ?2) WHERE id = ?3",
        );
        query
            .bind(micros(now) - micros(claimed))
            .bind(micros(now))
            .bind(step.run.id.get())
            .execute(&mut *connection)
            .await?;
    }
    if step.events.contains(&LifeEvent::Started) {
        let query = sqlx::query("UPDATE run SET start_heard = ? WHERE id = ?");
        query.bind(micros(now)).bind(step.run.id.get()).execute(connection).await?;
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
fn with_stored_precision(patch: &Patch) -> Patch {
    let truncated = |at: Option<Option<Timestamp>>| at.map(|at| at.map(|at| at.trunc_subsecs(6)));
    Patch {
        enqueue_dts: truncated(patch.enqueue_dts),
        start_dts: truncated(patch.start_dts),
        return_dts: truncated(patch.return_dts),
        ..patch.clone()
    }
}

/// Records that the server itself ended a run, and when: the other times of the run are by its worker's clock.
async fn record_closed(connection: &mut SqliteConnection, run: RunId, now: Timestamp) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE run SET closed = ? WHERE id = ?").bind(micros(now)).bind(run.get());
    query.execute(connection).await?;
    Ok(())
}

/// Writes the columns that can change. The lead of the worker's clock is forgotten together with the claim.
pub(super) async fn update(connection: &mut SqliteConnection, run: &Run) -> Result<(), StoreError> {
    let query = sqlx::query(
        "UPDATE run SET worker = ?, pinned = ?, schedule_dts = ?, enqueue_dts = ?, start_dts = ?, return_dts = ?,
         return_success = ?, pid = ?, attempt = ?, losses = ?, exit = ?,
         clock_lead = CASE WHEN ? THEN clock_lead END WHERE id = ?",
    )
    .bind(run.worker.map(WorkerId::get))
    .bind(run.pinned)
    .bind(micros(run.schedule_dts))
    .bind(run.enqueue_dts.map(micros))
    .bind(run.start_dts.map(micros))
    .bind(run.return_dts.map(micros))
    .bind(run.return_success)
    .bind(run.pid)
    .bind(i64::from(run.attempt.0))
    .bind(i64::from(run.losses))
    .bind(run.exit.map(rows::exit_text))
    .bind(run.enqueue_dts.is_some())
    .bind(run.id.get());
    query.execute(connection).await?;
    Ok(())
}
