//! Evaluation of a job: decides about its due runs, records the decisions and plans the next run, in one transaction.

use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::entities::find_job;
use super::fires::record;
use super::plan;
use super::rows::{self, micros};
use super::runs::{NewRun, insert};
use super::{Store, StoreError};
use crate::run::{KillId, RunId};
use crate::server::domain::model::{Asker, Fire, FireKind, Job, JobId, KillCause, PoolId, Run, Timestamp, WorkerId};
use crate::server::domain::schedule::enqueue::{
    Absence, Availability, DueVerdict, JobStanding, WaitReason, decide, may_claim,
};
use crate::server::domain::worker_state::takes_runs;
use crate::server::store::changes::Change;
use chrono_tz::Tz;

/// Due runs, and active ones, of a job that are evaluated together.
const BATCH: u32 = 200;

/// Outcome of an evaluation, for the dispatcher.
#[derive(Clone, Debug)]
pub struct JobEvaluation {
    /// Pool of the job.
    pub pool: PoolId,
    /// Runs that are to be announced.
    pub offers: Vec<Offer>,
    /// Due runs that wait, and their reasons.
    pub waits: Vec<(RunId, WaitReason)>,
}

/// A run that is to be announced.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Run to be announced.
    pub run: Run,
    /// Only worker that may claim it; `None` for any of the pool.
    pub to: Option<WorkerId>,
}

/// State of a job within a change.
struct Known {
    job: Job,
    project_is_enabled: bool,
    template_is_enabled: bool,
    pool_is_enabled: bool,
    active: Vec<Run>,
    due: Vec<Run>,
}

impl Known {
    fn standing<'a>(&'a self, availability: &'a Availability) -> JobStanding<'a> {
        JobStanding {
            job: &self.job,
            project_is_enabled: self.project_is_enabled,
            template_is_enabled: self.template_is_enabled,
            pool_is_enabled: self.pool_is_enabled,
            active: &self.active,
            due: &self.due,
            availability,
        }
    }
}

impl Store {
    /// Decides about the due runs of a job, records which of them do not run, and plans the next run. Returns `None` if
    /// there is no such job.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn evaluate_job(
        &self,
        job: JobId,
        availability: &Availability,
        zone: Tz,
        now: Timestamp,
    ) -> Result<Option<JobEvaluation>, StoreError> {
        let mut writing = self.write().await?;
        let Some(known) = know(&mut writing, job, now).await? else { return Ok(None) };
        // Before the decisions: a run that is moved to a later time loses the mark again.
        note_due(&mut writing, &known.due, now).await?;
        let mut act = Act {
            connection: &mut writing,
            known: &known,
            zone,
            now,
            news: Vec::new(),
            offers: Vec::new(),
            waits: Vec::new(),
        };
        for verdict in decide(known.standing(availability)) {
            act.on(verdict).await?;
        }
        // Runs that are announced now do not count as the next run, which is planned in the same change.
        let present: Vec<i64> = act.offers.iter().map(|offer| offer.run.schedule_id).collect();
        let Act { mut news, offers, waits, .. } = act;
        news.extend(plan::next(&mut writing, &known.job, &present, zone, now).await?);
        writing.commit().await?;
        news.into_iter().for_each(|item| self.changes().publish(item));
        Ok(Some(JobEvaluation { pool: known.job.pool, offers, waits }))
    }

    /// Records that a run waits for a reason that only the dispatcher knows, such as a lack of free slots.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn record_waiting(&self, run: &Run, reason: &impl ToString, now: Timestamp) -> Result<(), StoreError> {
        let mut writing = self.write().await?;
        record(&mut writing, &fact(run, FireKind::Delayed, reason, now)).await?;
        writing.commit().await?;
        Ok(())
    }
}

/// Returns whether a worker may claim an unclaimed run now.
pub(super) async fn claimable(
    connection: &mut SqliteConnection,
    run: &Run,
    worker: WorkerId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if !run.is_due(now) {
        return Ok(false);
    }
    let Some(mut known) = know(connection, run.job, now).await? else { return Ok(false) };
    // A due run that is meant for another worker, which may be away for long, blocks nobody until it is claimed.
    known.due.retain(|due| due.worker.is_none_or(|pinned| pinned == worker));
    // More runs may be due than are read at once.
    if !known.due.iter().any(|due| due.id == run.id) {
        known.due.push(run.clone());
    }
    let query = sqlx::query(
        "SELECT worker.*, EXISTS (SELECT 1 FROM pool_worker WHERE pool = ? AND worker = worker.id) AS is_in_pool
         FROM worker WHERE id = ?",
    );
    let found = query.bind(known.job.pool.get()).bind(worker.get()).fetch_optional(connection).await?;
    let Some(row) = found else { return Ok(false) };
    // The claimant is judged alone: whether others of the pool could take the run is a matter of announcing it. It
    // answers, so it is not silent.
    let (claimant, is_in_pool) = (rows::worker(&row)?, row.try_get("is_in_pool")?);
    let mut availability = Availability::default();
    availability.enabled.extend(claimant.enqueue_is_enabled.then_some(worker));
    availability.resting.extend((!takes_runs(&claimant)).then_some(worker));
    availability.pools.insert(known.job.pool, if is_in_pool { vec![worker] } else { Vec::new() });
    Ok(may_claim(known.standing(&availability), run.id, worker))
}

/// Requests the kill of a run's present attempt, unless an unexecuted request for it exists.
pub(super) async fn insert_kill_request(
    connection: &mut SqliteConnection,
    run: RunId,
    cause: KillCause,
    by: Option<Asker>,
    now: Timestamp,
) -> Result<Option<KillId>, StoreError> {
    let query = sqlx::query_scalar(
        "INSERT INTO kill_request (run, attempt, schedule_dts, cause, asked_by) SELECT id, attempt, ?2, ?3, ?4
         FROM run WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM kill_request AS asked
         WHERE asked.run = run.id AND asked.attempt = run.attempt AND asked.execute_dts IS NULL) RETURNING id",
    );
    let query = query.bind(run.get()).bind(micros(now)).bind(rows::cause_name(cause));
    let query = query.bind(by.map(rows::asker_text));
    let made: Option<i64> = query.fetch_optional(connection).await?;
    Ok(made.and_then(KillId::new))
}

async fn know(connection: &mut SqliteConnection, id: JobId, now: Timestamp) -> Result<Option<Known>, StoreError> {
    let Some(job) = find_job(connection, id).await? else { return Ok(None) };
    let query = sqlx::query_as(
        "SELECT project.enqueue_is_enabled, job_template.enqueue_is_enabled, worker_pool.enqueue_is_enabled
         FROM job_template JOIN project ON project.id = job_template.project, worker_pool
         WHERE job_template.id = ? AND worker_pool.id = ?",
    );
    let (project_is_enabled, template_is_enabled, pool_is_enabled) =
        query.bind(job.template.get()).bind(job.pool.get()).fetch_one(&mut *connection).await?;
    let query = sqlx::query(
        "SELECT * FROM run WHERE job = ? AND return_dts IS NULL AND enqueue_dts IS NOT NULL ORDER BY id LIMIT ?",
    );
    let active = query.bind(id.get()).bind(BATCH).fetch_all(&mut *connection).await?;
    let query = sqlx::query(
        "SELECT * FROM run WHERE job = ? AND enqueue_dts IS NULL AND return_dts IS NULL
         AND (came_due IS NOT NULL OR schedule_dts <= ?)
         ORDER BY schedule_dts, schedule_id, id LIMIT ?",
    );
    let due = query.bind(id.get()).bind(micros(now)).bind(BATCH).fetch_all(connection).await?;
    Ok(Some(Known {
        job,
        project_is_enabled,
        template_is_enabled,
        pool_is_enabled,
        active: active.iter().map(rows::run).collect::<Result<_, _>>()?,
        due: due.iter().map(rows::run).collect::<Result<_, _>>()?,
    }))
}

/// Records that runs are due: they stay so if the clock is set back after this, and after a restart.
async fn note_due(connection: &mut SqliteConnection, due: &[Run], now: Timestamp) -> Result<(), StoreError> {
    for run in due.iter().filter(|run| run.came_due.is_none()) {
        let query = sqlx::query("UPDATE run SET came_due = ? WHERE id = ?").bind(micros(now)).bind(run.id.get());
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Carries out verdicts within the change, and collects what follows.
struct Act<'a> {
    connection: &'a mut SqliteConnection,
    known: &'a Known,
    zone: Tz,
    now: Timestamp,
    news: Vec<Change>,
    offers: Vec<Offer>,
    waits: Vec<(RunId, WaitReason)>,
}

impl<'a> Act<'a> {
    async fn on(&mut self, verdict: DueVerdict) -> Result<(), StoreError> {
        match verdict {
            DueVerdict::Announce(run, to) => {
                let offers = self.find(run).map(|run| Offer { run: run.clone(), to });
                self.offers.extend(offers);
            }
            DueVerdict::Spread(run, there, absent) => self.spread(run, &there, &absent).await?,
            DueVerdict::Wait(run, reason) => {
                self.waits.push((run, reason));
                self.write_down(run, FireKind::Delayed, &reason).await?;
            }
            DueVerdict::Skip(run, reason) => {
                self.write_down(run, FireKind::Skipped, &reason).await?;
                let Some(run) = self.find(run) else { return Ok(()) };
                self.news.extend(plan::skip(self.connection, &self.known.job, run, self.zone, self.now).await?);
            }
            DueVerdict::Replace(run, others) => {
                self.waits.extend(others.first().map(|other| (run, WaitReason::Active(*other))));
                for other in others {
                    let asked =
                        insert_kill_request(self.connection, other, KillCause::Replaced, None, self.now).await?;
                    self.news.extend(asked.map(Change::KillRequested));
                    self.write_down(run, FireKind::Delayed, &format!("run {other} is killed to make room")).await?;
                }
            }
        }
        Ok(())
    }

    fn find(&self, run: RunId) -> Option<&'a Run> {
        self.known.due.iter().find(|due| due.id == run)
    }

    async fn write_down(&mut self, run: RunId, what: FireKind, why: &impl ToString) -> Result<(), StoreError> {
        let Some(run) = self.find(run) else { return Ok(()) };
        let fact = fact(run, what, why, self.now);
        record(self.connection, &fact).await
    }

    /// Turns a run into one run for each worker, under the same schedule id. The run itself becomes that of the first
    /// worker, so that its id stays valid.
    async fn spread(
        &mut self,
        run: RunId,
        there: &[WorkerId],
        absent: &[(WorkerId, Absence)],
    ) -> Result<(), StoreError> {
        let Some(run) = self.find(run) else { return Ok(()) };
        let Some((first, others)) = there.split_first() else { return Ok(()) };
        for worker in others {
            let new = NewRun {
                pinned: Some(*worker),
                schedule_id: Some(run.schedule_id),
                is_manual: run.is_manual,
                schedule_children: run.schedule_children,
                retry_of: run.retry_of,
                ..NewRun::due(run.job, run.schedule_dts)
            };
            let made = insert(self.connection, &new).await?;
            // The asker, the parent's run and the shift of the schedule are the same for each of them.
            let query = sqlx::query(
                "UPDATE run SET (came_due, moved, asked_by, follows) =
                 (SELECT came_due, moved, asked_by, follows FROM run WHERE id = ?) WHERE id = ?",
            );
            query.bind(run.id.get()).bind(made.id.get()).execute(&mut *self.connection).await?;
            self.offer(made, *worker);
        }
        // The plan is forgotten: it made a run for all workers, and a later change of the schedule must not move the
        // run of one alone.
        let query = sqlx::query("UPDATE run SET worker = ?, pinned = 1, plan = NULL WHERE id = ?");
        query.bind(first.get()).bind(run.id.get()).execute(&mut *self.connection).await?;
        self.offer(Run { worker: Some(*first), pinned: true, ..run.clone() }, *first);
        for (worker, why) in absent {
            let fact = fact(run, FireKind::Skipped, &format!("worker {worker} {why}"), self.now);
            record(self.connection, &fact).await?;
        }
        Ok(())
    }

    /// Publishes and offers a run that is meant for one worker.
    fn offer(&mut self, run: Run, to: WorkerId) {
        self.news.push(Change::RunScheduled(run.id));
        self.offers.push(Offer { run, to: Some(to) });
    }
}

fn fact(run: &Run, what: FireKind, why: &impl ToString, at: Timestamp) -> Fire {
    Fire { job: run.job, due: run.schedule_dts, run: Some(run.id), what, reason: why.to_string(), at }
}
