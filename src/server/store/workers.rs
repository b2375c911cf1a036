//! Who is there, who was lost, what takes too long.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::entities::find_job;
use super::evaluate::insert_kill_request;
use super::fires::record;
use super::log_chunks;
use super::rows::{self, instant_of};
use super::runs::{KillFilter, find, follow, kill_cause, note_closed, update};
use super::{Store, StoreError};
use crate::run::{ApiKey, Attempt, KillId, RunId};
use crate::server::domain::life;
use crate::server::domain::model::{
    Fire, FireKind, Job, JobId, KillCause, OnLost, PoolId, Run, RunState, Timestamp, Worker, WorkerId,
};
use crate::server::store::changes::Change;

/// Everything that decides who is told what, except jobs and runs.
#[derive(Clone, Debug)]
pub struct WorkerSnapshot {
    /// All workers.
    pub workers: Vec<Worker>,
    /// Who is in which pool.
    pub pools: BTreeMap<PoolId, Vec<WorkerId>>,
    /// What is disabled: the ids of projects, templates and pools.
    pub disabled: [Vec<i64>; 3],
}

/// Who has claimed a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The run.
    pub run: RunId,
    /// Who has claimed it.
    pub worker: WorkerId,
    /// When, in microseconds of the worker's own clock: it tells one claim of a run from the next.
    pub at: i64,
}

/// A run whose script was started, as far as its limit of time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartedRun {
    /// The run.
    pub run: RunId,
    /// Its job.
    pub job: JobId,
    /// Which execution of it.
    pub attempt: Attempt,
    /// When its start was told to us, by our own clock. Nothing for what an earlier version kept.
    pub heard: Option<Timestamp>,
    /// How long it may take.
    pub limit: Option<Duration>,
}

/// Which runs that were started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// All of them.
    All,
    /// This one.
    Run(RunId),
    /// Those of a job.
    OfJob(JobId),
}

impl Store {
    /// Who is there.
    ///
    /// # Errors
    /// That the store does not answer.
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

    /// How many runs each worker has claimed that are not over.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn slots_taken(&self) -> Result<BTreeMap<WorkerId, u32>, StoreError> {
        let query = sqlx::query_as(
            "SELECT worker, count(*) FROM run WHERE return_dts IS NULL AND enqueue_dts IS NOT NULL
             AND worker IS NOT NULL GROUP BY worker",
        );
        let found: Vec<(i64, u32)> = query.fetch_all(&self.readers).await?;
        Ok(found.into_iter().filter_map(|(worker, runs)| Some((WorkerId::new(worker)?, runs))).collect())
    }

    /// The claims of runs that are not over: all of them, or that of one run, also if that is over.
    ///
    /// # Errors
    /// That the store does not answer.
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

    /// A worker was lost: each run that it claimed runs again or fails, as the job says; one that was to be killed is
    /// over. What it has not claimed waits on.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn mark_lost(&self, worker: WorkerId, max_losses: u32, now: Timestamp) -> Result<Vec<Run>, StoreError> {
        let mut writing = self.write().await?;
        let query = sqlx::query(
            "SELECT * FROM run WHERE worker = ? AND return_dts IS NULL AND enqueue_dts IS NOT NULL ORDER BY id",
        );
        let found = query.bind(worker.get()).fetch_all(&mut *writing).await?;
        let (mut news, mut lost) = (Vec::new(), Vec::new());
        for row in &found {
            let mut run = rows::run(row)?;
            news.extend(lose_one(&mut writing, &mut run, worker, max_losses, now).await?);
            lost.push(run);
        }
        writing.commit().await?;
        news.into_iter().for_each(|item| self.changes().publish(item));
        Ok(lost)
    }

    /// The runs whose scripts were started and that are not over.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn started_runs(&self, which: Started) -> Result<Vec<StartedRun>, StoreError> {
        let (run, job) = match which {
            Started::All => (None, None),
            Started::Run(run) => (Some(run.get()), None),
            Started::OfJob(job) => (None, Some(job.get())),
        };
        let query = sqlx::query(
            "SELECT run.id, run.job, attempt, start_heard, run_timeout FROM run JOIN job ON job.id = run.job
             WHERE return_dts IS NULL AND enqueue_dts IS NOT NULL AND start_dts IS NOT NULL
             AND (?1 IS NULL OR run.id = ?1) AND (?2 IS NULL OR run.job = ?2)",
        );
        let found = query.bind(run).bind(job).fetch_all(&self.readers).await?;
        found.iter().map(started_run).collect()
    }

    /// A run has taken too long: its end is asked for, if it is not over and nobody has asked.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn record_timeout(&self, run: RunId, now: Timestamp) -> Result<Option<KillId>, StoreError> {
        let mut writing = self.write().await?;
        let is_under_way = find(&mut writing, run).await?.is_some_and(|run| run.state() == RunState::Started);
        let asked = if is_under_way {
            insert_kill_request(&mut writing, run, KillCause::TimedOut, None, now).await?
        } else {
            None
        };
        writing.commit().await?;
        if let Some(kill) = asked {
            self.changes().publish(Change::KillRequested(kill));
        }
        Ok(asked)
    }

    /// Whom to tell of a request that nobody has taken, while there is something to kill.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn kill_target(&self, kill: KillId) -> Result<Option<ApiKey>, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT worker.api_key FROM kill_request JOIN run ON run.id = kill_request.run
             JOIN worker ON worker.id = run.worker WHERE kill_request.id = ? AND kill_request.enqueue_dts IS NULL
             AND kill_request.attempt = run.attempt AND run.enqueue_dts IS NOT NULL AND run.return_dts IS NULL",
        );
        let found: Option<String> = query.bind(kill.get()).fetch_optional(&self.readers).await?;
        Ok(found.and_then(|key| ApiKey::parse(&key).ok()))
    }

    /// The requests that nobody has taken, for runs that are claimed and not over; of one run, or of all.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn open_kills(&self, run: Option<RunId>) -> Result<Vec<KillId>, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT kill_request.id FROM kill_request JOIN run ON run.id = kill_request.run
             WHERE kill_request.enqueue_dts IS NULL AND kill_request.attempt = run.attempt AND run.enqueue_dts IS NOT NULL AND run.return_dts IS NULL
             AND (?1 IS NULL OR run.id = ?1)",
        );
        let found: Vec<i64> = query.bind(run.map(RunId::get)).fetch_all(&self.readers).await?;
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

async fn lose_one(
    connection: &mut SqliteConnection,
    run: &mut Run,
    worker: WorkerId,
    max_losses: u32,
    now: Timestamp,
) -> Result<Vec<Change>, StoreError> {
    let Some(job) = find_job(connection, run.job).await? else { return Ok(Vec::new()) };
    let kill = kill_cause(connection, run, KillFilter::AtAll).await?;
    let again = life::lost(run, kill, job.on_lost == OnLost::Retry, max_losses, now);
    update(connection, run).await?;
    let reason = format!("worker {worker} was lost with attempt {} of run {}", run.attempt, run.id);
    let fire = Fire { job: job.id, due: run.schedule_dts, run: Some(run.id), what: FireKind::Delayed, reason, at: now };
    record(connection, &fire).await?;
    if again {
        return Ok(vec![Change::RunGivenBack(run.id)]);
    }
    note_closed(connection, run.id, now).await?;
    // Somebody's words are never written over.
    let written = match log_chunks::of_run(connection, run.id).await? {
        Some(_) => None,
        None => Some(log_chunks::begin(connection, run.id, Some(&log_of_lost(run, &job))).await?),
    };
    let mut news = follow(connection, run, now).await?;
    news.extend(written.map(|log| Change::RunLog(run.id, log.len())));
    news.push(Change::RunReturned(run.id));
    Ok(news)
}

/// What the original writes into the log of a run whose worker was lost.
fn log_of_lost(run: &Run, job: &Job) -> String {
    format!(
        "This run for Id: {} (\"{}\"({})) was marked as failed. Reason: Worker does not respond to ping requests.",
        run.id, job.title, job.id
    )
}
