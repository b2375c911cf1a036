//! Runs: creates, reads and changes them one checked step at a time, and does what follows from each step in the same
//! transaction.

use chrono::SubsecRound;
use sqlx::sqlite::SqliteConnection;

use super::claiming::claim_rule;
use super::fires::record;
use super::kills::kill_of_attempt;
use super::late_results;
use super::rows::{self, micros};
use super::{Store, StoreError, Writing};
use crate::run::RunId;
use crate::server::domain::chain::{self, Child, Effect};
use crate::server::domain::fire::{Fire, FireReason, WorkerAttempt};
use crate::server::domain::life::late::late_result;
use crate::server::domain::life::{
    self, Actor, AttemptKill, ChangeFacts, ClaimRule, LifeEvent, LifeRefusal, Patch, Step,
};
use crate::server::domain::model::{Asker, Job, JobId, Run, Timestamp, WorkerId};
use crate::server::store::changes::Change;

/// A run to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// Job that the run belongs to.
    pub job: JobId,
    /// Time at which the run is due.
    pub schedule_dts: Timestamp,
    /// Time at which the run became due by the server's clock; `None` until that is noticed.
    pub came_due: Option<Timestamp>,
    /// Only worker that may execute the run; `None` for any of the pool.
    pub pinned: Option<WorkerId>,
    /// Schedule id that it shares with runs that are due with it, and with retries; `None` makes its own id the
    /// schedule id.
    pub schedule_id: Option<i64>,
    /// Whether the run was asked for by hand.
    pub is_manual: bool,
    /// Whether the job's children run after it.
    pub schedule_children: bool,
    /// Run that it retries, and the number of the retry, from 1 on.
    pub retry_of: Option<(RunId, u32)>,
    /// Asker of a run by hand, if known.
    pub asked_by: Option<Asker>,
    /// Run of the parent job that it follows.
    pub follows: Option<RunId>,
}

impl NewRun {
    /// Returns a run by the schedule, due at this time.
    #[must_use]
    pub fn due(job: JobId, schedule_dts: Timestamp) -> Self {
        Self {
            job,
            schedule_dts,
            came_due: None,
            pinned: None,
            schedule_id: None,
            is_manual: false,
            schedule_children: true,
            retry_of: None,
            asked_by: None,
            follows: None,
        }
    }

    /// Returns a run that is due now.
    #[must_use]
    pub fn now(job: JobId, now: Timestamp) -> Self {
        Self { came_due: Some(now), ..Self::due(job, now) }
    }
}

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
    /// Reads a run; `None` if there is no such run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn run(&self, run: RunId) -> Result<Option<Run>, StoreError> {
        let row = sqlx::query("SELECT * FROM run WHERE id = ?").bind(run.get()).fetch_optional(&self.readers).await?;
        row.as_ref().map(rows::run).transpose()
    }

    /// Creates a run.
    ///
    /// # Errors
    /// If the store cannot be read or written, or the job or worker does not exist.
    pub async fn new_run(&self, new: &NewRun) -> Result<Run, StoreError> {
        let mut writing = self.write().await?;
        let run = insert(&mut writing, new).await?;
        writing.commit().await?;
        Ok(run)
    }

    /// Creates a manual run of a job that is due now; `schedule_children` says whether the job's children run after it.
    ///
    /// # Errors
    /// If the store cannot be read or written, or the job does not exist.
    pub async fn enqueue_run_now(
        &self,
        job: JobId,
        schedule_children: bool,
        by: Asker,
        now: Timestamp,
    ) -> Result<Run, StoreError> {
        let mut writing = self.write().await?;
        let new = NewRun { is_manual: true, schedule_children, asked_by: Some(by), ..NewRun::now(job, now) };
        let run = insert(&mut writing, &new).await?;
        writing.commit().await?;
        Ok(run)
    }

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

/// Reads a run within a change.
pub(super) async fn find(connection: &mut SqliteConnection, run: RunId) -> Result<Option<Run>, StoreError> {
    let row = sqlx::query("SELECT * FROM run WHERE id = ?").bind(run.get()).fetch_optional(connection).await?;
    row.as_ref().map(rows::run).transpose()
}

/// Creates a run within a change.
pub(super) async fn insert(writing: &mut Writing, new: &NewRun) -> Result<Run, StoreError> {
    let query = sqlx::query(
        // A run's own id is known after the insertion only; until then 0 stands for it.
        "INSERT INTO run (job, schedule_id, worker, pinned, schedule_dts, came_due, is_manual, schedule_children,
         retry_of, retry, asked_by, follows) VALUES (?, coalesce(?, 0), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.job.get())
    .bind(new.schedule_id)
    .bind(new.pinned.map(WorkerId::get))
    .bind(new.pinned.is_some())
    .bind(micros(new.schedule_dts))
    .bind(new.came_due.map(micros))
    .bind(new.is_manual)
    .bind(new.schedule_children)
    .bind(new.retry_of.map(|(run, _)| run.get()))
    .bind(new.retry_of.map(|(_, retry)| retry))
    .bind(new.asked_by.map(rows::asker_text))
    .bind(new.follows.map(RunId::get));
    let id = query.execute(&mut **writing).await?.last_insert_rowid();
    if new.schedule_id.is_none() {
        sqlx::query("UPDATE run SET schedule_id = id WHERE id = ?").bind(id).execute(&mut **writing).await?;
    }
    let row = sqlx::query("SELECT * FROM run WHERE id = ?").bind(id).fetch_one(&mut **writing).await?;
    let run = rows::run(&row)?;
    writing.publish_on_commit([Change::RunScheduled(run.id)]);
    Ok(run)
}

/// Records that the server itself ended a run, and when: the other times of the run are by its worker's clock.
async fn record_closed(connection: &mut SqliteConnection, run: RunId, now: Timestamp) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE run SET closed = ? WHERE id = ?").bind(micros(now)).bind(run.get());
    query.execute(connection).await?;
    Ok(())
}

/// Writes the columns that can change. The lead of the worker's clock is forgotten together with the claim.
async fn update(connection: &mut SqliteConnection, run: &Run) -> Result<(), StoreError> {
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

/// Ends a run that no worker has claimed, and records who cancelled it.
pub(super) async fn cancel(writing: &mut Writing, run: &Run, by: Asker, now: Timestamp) -> Result<(), StoreError> {
    let reason = FireReason::Cancelled(by);
    let fire = Fire { job: run.job, due: run.schedule_dts, run: Some(run.id), reason, at: now };
    record(writing, &fire).await?;
    let run = &life::cancel(run, now).run;
    update(writing, run).await?;
    writing.publish_on_commit([Change::RunReturned(run.id)]);
    if let Some(job) = super::entities::find_job(writing, run.job).await? {
        let siblings = siblings(writing, run).await?;
        let children = children(writing, &job).await?;
        let effects = chain::cancelled(&job, run, &siblings, &children);
        apply(writing, &job, run, effects, now).await?;
    }
    Ok(())
}

/// Does what follows from a run that has just ended.
async fn follow(writing: &mut Writing, run: &Run, now: Timestamp) -> Result<(), StoreError> {
    let Some(job) = super::entities::find_job(writing, run.job).await? else { return Ok(()) };
    let siblings = siblings(writing, run).await?;
    let children = children(writing, &job).await?;
    let effects = chain::after(&job, run, &siblings, &children, now);
    apply(writing, &job, run, effects, now).await
}

/// Deletes a run that no worker has claimed or ever will, and does what was waiting for it: the failure that it was to
/// retry counts, and the children of its schedule id are decided about.
pub(super) async fn withdraw(writing: &mut Writing, run: &Run, now: Timestamp) -> Result<(), StoreError> {
    // Subscribers read the run again and find that it is gone.
    writing.publish_on_commit([Change::RunScheduled(run.id)]);
    sqlx::query("DELETE FROM run WHERE id = ?").bind(run.id.get()).execute(&mut **writing).await?;
    let Some(job) = super::entities::find_job(writing, run.job).await? else { return Ok(()) };
    // Read after the deletion: a failure whose retry is gone is among the siblings again.
    let mut left = siblings(writing, run).await?;
    let last = match run.retry_of {
        Some((failed, _)) => left.iter().position(|other| other.id == failed),
        None => (0..left.len()).filter(|at| left[*at].return_dts.is_some()).max_by_key(|at| left[*at].return_dts),
    };
    let Some(last) = last.map(|at| left.swap_remove(at)) else { return Ok(()) };
    let children = children(writing, &job).await?;
    let effects = match run.retry_of {
        Some(_) => chain::settled(&job, &last, &left, &children),
        None => chain::children(&job, &last, &left, &children),
    };
    apply(writing, &job, &last, effects, now).await
}

/// Carries out effects of a run's end.
async fn apply(
    writing: &mut Writing,
    job: &Job,
    run: &Run,
    effects: Vec<Effect>,
    now: Timestamp,
) -> Result<(), StoreError> {
    for effect in effects {
        match effect {
            Effect::FailTimes(times) => {
                let query = sqlx::query("UPDATE job SET fail_times = ? WHERE id = ?").bind(times).bind(job.id.get());
                query.execute(&mut **writing).await?;
            }
            Effect::Disable => {
                let reason =
                    format!("failed more than {} times in a row", job.disable_enqueue_after_fails.unwrap_or(0));
                let query = sqlx::query("UPDATE job SET enqueue_is_enabled = 0, disabled_reason = ? WHERE id = ?");
                query.bind(reason).bind(job.id.get()).execute(&mut **writing).await?;
                writing.publish_on_commit([Change::JobChanged(job.id)]);
            }
            Effect::Completed(schedule_id) => {
                let query = sqlx::query("UPDATE job SET last_completed_schedule_id = ? WHERE id = ?");
                query.bind(schedule_id).bind(job.id.get()).execute(&mut **writing).await?;
            }
            Effect::Retry(at, number) => {
                let retry = NewRun {
                    pinned: run.worker.filter(|_| run.pinned),
                    schedule_id: Some(run.schedule_id),
                    is_manual: run.is_manual,
                    schedule_children: run.schedule_children,
                    retry_of: Some((run.id, number)),
                    ..NewRun::due(job.id, at)
                };
                insert(writing, &retry).await?;
            }
            Effect::Child(child) => {
                let new = NewRun { follows: Some(run.id), ..NewRun::now(child, now) };
                insert(writing, &new).await?;
            }
            Effect::NoChild(child, why) => {
                let reason = FireReason::ChildLeftOut { why, run: run.id, job: job.id };
                let fire = Fire { job: child, due: now, run: None, reason, at: now };
                record(writing, &fire).await?;
            }
        }
    }
    Ok(())
}

/// Reads the other runs of a job and schedule id, without failed ones that were retried.
async fn siblings(connection: &mut SqliteConnection, run: &Run) -> Result<Vec<Run>, StoreError> {
    let query = sqlx::query(
        "SELECT * FROM run WHERE schedule_id = ?1 AND job = ?2 AND id <> ?3
         AND id NOT IN (SELECT retry_of FROM run WHERE schedule_id = ?1 AND retry_of IS NOT NULL)",
    );
    let found = query.bind(run.schedule_id).bind(run.job.get()).bind(run.id.get()).fetch_all(connection).await?;
    found.iter().map(rows::run).collect()
}

async fn children(connection: &mut SqliteConnection, job: &Job) -> Result<Vec<Child>, StoreError> {
    let query = sqlx::query_as("SELECT id, enqueue_is_enabled FROM job WHERE parent = ? ORDER BY id");
    let found: Vec<(i64, bool)> = query.bind(job.id.get()).fetch_all(connection).await?;
    Ok(found.into_iter().filter_map(|(id, enabled)| Some(Child { job: JobId::new(id)?, enabled })).collect())
}
