//! Workers for the dispatcher: their snapshot, the claims of runs, started runs, lost workers, and the worker that a kill
//! is announced to.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::entities::find_job;
use super::fires::record;
use super::kill_records::kill_of_attempt;
use super::log_chunks;
use super::rows::{self, instant_of};
use super::run_changes::write_step;
use super::{Store, StoreError, Writing};
use crate::run::{ApiKey, Attempt, KillId, RunId};
use crate::server::domain::fire::{Fire, FireReason, WorkerAttempt};
use crate::server::domain::life::{self, LossFacts};
use crate::server::domain::model::{Job, JobId, PoolId, Run, Timestamp, Worker, WorkerId};
use crate::server::store::changes::Change;

/// Data for the dispatcher's decisions, except jobs and runs. Read in several statements, so not necessarily of one
/// moment.
#[derive(Clone, Debug)]
pub struct WorkerSnapshot {
    /// All workers, by id.
    pub workers: Vec<Worker>,
    /// Workers of each pool, by id; pools without any are left out.
    pub pools: BTreeMap<PoolId, Vec<WorkerId>>,
    /// Ids of the disabled projects, templates and pools, in this order.
    pub disabled: [Vec<i64>; 3],
}

/// Claim of a run by a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Run that was claimed.
    pub run: RunId,
    /// Worker that claimed the run.
    pub worker: WorkerId,
    /// Time of the claim in microseconds, by the worker's own clock; distinguishes two claims of one run.
    pub at: i64,
}

/// A run whose script was started, with its time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartedRun {
    /// Run that goes on.
    pub run: RunId,
    /// Job of the run.
    pub job: JobId,
    /// Attempt whose script was started.
    pub attempt: Attempt,
    /// Time at which the start was reported, by the server's clock; `None` where an earlier version did not keep it.
    pub heard: Option<Timestamp>,
    /// Time limit of the job; `None` for a run that may take as long as it likes.
    pub limit: Option<Duration>,
}

/// Selection among the started runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// All runs that are started.
    All,
    /// Only this run, if it is started.
    Run(RunId),
    /// Only started runs of this job.
    OfJob(JobId),
}

/// SQL for started runs that are not over, found by an index, with a further condition.
macro_rules! started_sql {
    ($index:literal, $condition:literal) => {
        concat!(
            "SELECT run.id, run.job, attempt, start_heard, run_timeout
             FROM run ",
            $index,
            " JOIN job ON job.id = run.job
             WHERE return_dts IS NULL AND enqueue_dts IS NOT NULL AND start_dts IS NOT NULL ",
            $condition
        )
    };
}

/// SQL for kill requests that no worker has taken, with a further condition.
macro_rules! open_kills_sql {
    ($condition:literal) => {
        concat!(
            "SELECT kill_request.id FROM kill_request JOIN run ON run.id = kill_request.run
             WHERE kill_request.enqueue_dts IS NULL AND kill_request.attempt = run.attempt
             AND run.enqueue_dts IS NOT NULL AND run.return_dts IS NULL ",
            $condition
        )
    };
}

impl Store {
    /// Reads the snapshot of workers, pools and disabled entities.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn worker_snapshot(&self) -> Result<WorkerSnapshot, StoreError> {
        let workers = sqlx::query("SELECT * FROM worker ORDER BY id").fetch_all(&self.readers).await?;
        let members: Vec<(i64, i64)> = sqlx::query_as("SELECT pool, worker FROM pool_worker ORDER BY pool, worker")
            .fetch_all(&self.readers)
            .await?;
        let mut pools = BTreeMap::<PoolId, Vec<WorkerId>>::new();
        for (pool, worker) in members {
            if let (Some(pool), Some(worker)) = (PoolId::new(pool), WorkerId::new(worker)) {
                pools.entry(pool).or_default().push(worker);
            }
        }
        let mut disabled = [const { Vec::new() }; 3];
        let questions = [
            "SELECT id FROM project WHERE NOT enqueue_is_enabled",
            "SELECT id FROM job_template WHERE NOT enqueue_is_enabled",
            "SELECT id FROM worker_pool WHERE NOT enqueue_is_enabled",
        ];
        for (ids, question) in disabled.iter_mut().zip(questions) {
            *ids = sqlx::query_scalar(question).fetch_all(&self.readers).await?;
        }
        Ok(WorkerSnapshot { workers: workers.iter().map(rows::worker).collect::<Result<_, _>>()?, pools, disabled })
    }

    /// Counts the runs that each worker has claimed and that are not over; workers without any are left out.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn slots_taken(&self) -> Result<BTreeMap<WorkerId, u32>, StoreError> {
        let query = sqlx::query_as(
            "SELECT worker, count(*) FROM run WHERE return_dts IS NULL AND enqueue_dts IS NOT NULL
             AND worker IS NOT NULL GROUP BY worker",
        );
        let found: Vec<(i64, u32)> = query.fetch_all(&self.readers).await?;
        Ok(found.into_iter().filter_map(|(worker, runs)| Some((WorkerId::new(worker)?, runs))).collect())
    }

    /// Returns the claims of runs that are not over; or, with a run, its latest claim, even if it is over.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn claims(&self, of: Option<RunId>) -> Result<Vec<Claim>, StoreError> {
        let query = match of {
            Some(run) => sqlx::query_as(
                "SELECT id, worker, enqueue_dts FROM run
                 WHERE id = ? AND enqueue_dts IS NOT NULL AND worker IS NOT NULL",
            )
            .bind(run.get()),
            None => sqlx::query_as(
                "SELECT id, worker, enqueue_dts FROM run
                 WHERE return_dts IS NULL AND enqueue_dts IS NOT NULL AND worker IS NOT NULL",
            ),
        };
        let found: Vec<(i64, i64, i64)> = query.fetch_all(&self.readers).await?;
        let claim = |(run, worker, at)| Some(Claim { run: RunId::new(run)?, worker: WorkerId::new(worker)?, at });
        Ok(found.into_iter().filter_map(claim).collect())
    }

    /// Marks a worker as lost: each run that it claimed is executed again or fails, as its job says, and one that was
    /// to be killed is over. Runs that it has not claimed go on waiting. Returns the runs that were claimed, as they
    /// are afterwards.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn mark_lost(&self, worker: WorkerId, max_losses: u32, now: Timestamp) -> Result<Vec<Run>, StoreError> {
        let mut writing = self.write().await?;
        let query = sqlx::query(
            "SELECT * FROM run WHERE worker = ? AND return_dts IS NULL AND enqueue_dts IS NOT NULL ORDER BY id",
        );
        let claimed = query.bind(worker.get()).fetch_all(&mut *writing).await?;
        let mut lost = Vec::new();
        for row in &claimed {
            lost.push(lose_run(&mut writing, rows::run(row)?, worker, max_losses, now).await?);
        }
        writing.commit().await?;
        Ok(lost)
    }

    /// Returns the runs whose scripts were started and that are not over.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn started_runs(&self, which: Started) -> Result<Vec<StartedRun>, StoreError> {
        // A statement for each, because one with optional conditions would read all started runs every time.
        let query = match which {
            Started::All => sqlx::query(started_sql!("", "")),
            Started::Run(run) => sqlx::query(started_sql!("", "AND run.id = ?")).bind(run.get()),
            Started::OfJob(job) => {
                sqlx::query(started_sql!("INDEXED BY run_active", "AND run.job = ?")).bind(job.get())
            }
        };
        let found = query.fetch_all(&self.readers).await?;
        found.iter().map(started_run).collect()
    }

    /// Returns the key of the worker to which a kill request is to be announced; `None` once it was taken or the
    /// attempt is over.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn kill_target(&self, kill: KillId) -> Result<Option<ApiKey>, StoreError> {
        let query = sqlx::query_scalar(
            // A request is for one attempt: a run that was given back and claimed anew is not killed by an old one.
            "SELECT worker.api_key FROM kill_request JOIN run ON run.id = kill_request.run
             JOIN worker ON worker.id = run.worker WHERE kill_request.id = ? AND kill_request.enqueue_dts IS NULL
             AND kill_request.attempt = run.attempt AND run.enqueue_dts IS NOT NULL AND run.return_dts IS NULL",
        );
        let found: Option<String> = query.bind(kill.get()).fetch_optional(&self.readers).await?;
        Ok(found.and_then(|key| ApiKey::parse(&key).ok()))
    }

    /// Returns the kill requests that no worker has taken, for attempts that are claimed and not over; of one run, or
    /// of all.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn open_kills(&self, run: Option<RunId>) -> Result<Vec<KillId>, StoreError> {
        let query = match run {
            Some(run) => sqlx::query_scalar(open_kills_sql!("AND run.id = ?")).bind(run.get()),
            None => sqlx::query_scalar(open_kills_sql!("")),
        };
        let found: Vec<i64> = query.fetch_all(&self.readers).await?;
        Ok(found.into_iter().filter_map(KillId::new).collect())
    }
}

fn started_run(row: &SqliteRow) -> Result<StartedRun, StoreError> {
    let limit = row.try_get::<Option<u32>, _>("run_timeout")?.filter(|seconds| *seconds > 0);
    Ok(StartedRun {
        run: RunId::new(row.try_get("id")?).ok_or(sqlx::Error::RowNotFound)?,
        job: JobId::new(row.try_get("job")?).ok_or(sqlx::Error::RowNotFound)?,
        attempt: Attempt(row.try_get("attempt")?),
        heard: instant_of(row, "start_heard")?,
        limit: limit.map(|seconds| Duration::from_secs(seconds.into())),
    })
}

/// Applies the loss of its worker to a run, and returns the run as it is afterwards.
async fn lose_run(
    writing: &mut Writing,
    run: Run,
    worker: WorkerId,
    max_losses: u32,
    now: Timestamp,
) -> Result<Run, StoreError> {
    let Some(job) = find_job(writing, run.job).await? else { return Ok(run) };
    let kill = kill_of_attempt(writing, &run).await?;
    let step = life::lose(&run, &LossFacts { kill, on_lost: job.on_lost, max_losses, now });
    let reason = FireReason::WorkerLost(WorkerAttempt { run: run.id, attempt: run.attempt, worker });
    let fire = Fire { job: job.id, due: run.schedule_dts, run: Some(run.id), reason, at: now };
    record(writing, &fire).await?;
    // A log that the worker has sent, even in part, is never overwritten.
    if step.ends() && log_chunks::of_run(writing, run.id).await?.is_none() {
        let log = log_chunks::begin(writing, run.id, Some(&log_of_lost(&run, &job))).await?;
        writing.publish_on_commit([Change::RunLog(run.id, log.len())]);
    }
    write_step(writing, &step, now).await?;
    Ok(step.run)
}

/// Text that the original server writes into the log of a run whose worker was lost.
fn log_of_lost(run: &Run, job: &Job) -> String {
    format!(
        "This run for Id: {} (\"{}\"({})) was marked as failed. Reason: Worker does not respond to ping requests.",
        run.id, job.title, job.id
    )
}
