//! Workers for the dispatcher: their snapshot, the claims of runs, started runs, lost workers, and the worker that a kill
//! is announced to.

use std::collections::BTreeMap;
use std::time::Duration;

use super::db::{DbRow, Reading, Transaction};
use super::entities::find_job;
use super::fires::record;
use super::kill_records::kill_of_attempt;
use super::run_changes::{publish, write_step};
use super::runs::ClockNotes;
use super::{Store, StoreError, log_chunks, rows};
use crate::run::{ApiKey, Attempt, KillId, RunId};
use crate::server::domain::fire::{Fire, FireReason, WorkerAttempt};
use crate::server::domain::life::{self, LossFacts};
use crate::server::domain::model::{Job, JobId, PoolId, Run, Timestamp, Worker, WorkerId};
use crate::server::store::changes::Change;

/// Data for the dispatcher's decisions, except jobs and runs, all of one moment.
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
        self.read(|reading| {
            let workers = reading.rows("SELECT * FROM worker ORDER BY id", &[], rows::worker)?;
            let mut pools = BTreeMap::<PoolId, Vec<WorkerId>>::new();
            reading.each("SELECT pool, worker FROM pool_worker ORDER BY pool, worker", &[], |row| {
                pools.entry(row.at(0)?).or_default().push(row.at(1)?);
                Ok::<_, StoreError>(true)
            })?;
            let mut disabled = [const { Vec::new() }; 3];
            let questions = [
                "SELECT id FROM project WHERE enqueue_is_enabled = 0",
                "SELECT id FROM job_template WHERE enqueue_is_enabled = 0",
                "SELECT id FROM worker_pool WHERE enqueue_is_enabled = 0",
            ];
            for (ids, question) in disabled.iter_mut().zip(questions) {
                *ids = reading.values(question, &[])?;
            }
            Ok(WorkerSnapshot { workers, pools, disabled })
        })
        .await
    }

    /// Returns the claims of runs that are not over.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn claims(&self) -> Result<Vec<Claim>, StoreError> {
        self.read(move |reading| {
            reading.rows(
                "SELECT id, worker, enqueue_dts FROM run
                 WHERE return_dts IS NULL AND enqueue_dts IS NOT NULL AND worker IS NOT NULL",
                &[],
                claim,
            )
        })
        .await
    }

    /// Marks a worker as lost: each run that it claimed is executed again or fails, as its job says, and one that was
    /// to be killed is over. Runs that it has not claimed go on waiting. Returns the runs that were claimed, as they
    /// are afterwards.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn mark_lost(&self, worker: WorkerId, max_losses: u32, now: Timestamp) -> Result<Vec<Run>, StoreError> {
        self.change(move |transaction| {
            let claimed = transaction.rows(
                "SELECT * FROM run WHERE worker = ? AND return_dts IS NULL AND enqueue_dts IS NOT NULL ORDER BY id",
                &[&worker],
                rows::run,
            )?;
            let mut lost = Vec::new();
            for run in claimed {
                lost.push(lose_run(transaction, run, worker, max_losses, now)?);
            }
            Ok(lost)
        })
        .await
    }

    /// Returns the runs whose scripts were started and that are not over.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn started_runs(&self, which: Started) -> Result<Vec<StartedRun>, StoreError> {
        // A statement for each, because one with optional conditions would read all started runs every time.
        self.read(move |reading| match which {
            Started::All => reading.rows(started_sql!("", ""), &[], started),
            Started::OfJob(job) => {
                reading.rows(started_sql!("INDEXED BY run_active", "AND run.job = ?"), &[&job], started)
            }
        })
        .await
    }

    /// Returns the key of the worker to which a kill request is to be announced; `None` once it was taken or the
    /// attempt is over.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn kill_target(&self, kill: KillId) -> Result<Option<ApiKey>, StoreError> {
        self.read(move |reading| {
            let found = reading.value::<String>(
                // A request is for one attempt: a run that was given back and claimed anew is not killed by an old one.
                "SELECT worker.api_key FROM kill_request JOIN run ON run.id = kill_request.run
                 JOIN worker ON worker.id = run.worker WHERE kill_request.id = ? AND kill_request.enqueue_dts IS NULL
                 AND kill_request.attempt = run.attempt AND run.enqueue_dts IS NOT NULL AND run.return_dts IS NULL",
                &[&kill],
            )?;
            Ok(found.and_then(|key| ApiKey::parse(&key).ok()))
        })
        .await
    }

    /// Returns the kill requests that no worker has taken, for attempts that are claimed and not over.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn open_kills(&self) -> Result<Vec<KillId>, StoreError> {
        self.read(move |reading| Ok(reading.values(open_kills_sql!(""), &[])?)).await
    }
}

/// Returns the latest claim of a run, even if the run is over.
pub(super) fn claim_of(reading: &Reading<'_>, run: RunId) -> Result<Option<Claim>, StoreError> {
    reading.row(CLAIM, &[&run], claim)
}

/// Asks ahead for what [`claim_of`] and [`open_kills_of`] read.
pub(super) fn ask_for_claim(reading: &Reading<'_>, run: RunId) {
    reading.ask_ahead(CLAIM, &[&run]);
    reading.ask_ahead(open_kills_sql!("AND run.id = ?"), &[&run]);
}

/// Asks ahead for what [`started_run`] reads.
pub(super) fn ask_for_start(reading: &Reading<'_>, run: RunId) {
    reading.ask_ahead(started_sql!("", "AND run.id = ?"), &[&run]);
}

const CLAIM: &str =
    "SELECT id, worker, enqueue_dts FROM run WHERE id = ? AND enqueue_dts IS NOT NULL AND worker IS NOT NULL";

/// Returns the kill requests for a run that no worker has taken, if the attempt is claimed and not over.
pub(super) fn open_kills_of(reading: &Reading<'_>, run: RunId) -> Result<Vec<KillId>, StoreError> {
    Ok(reading.values(open_kills_sql!("AND run.id = ?"), &[&run])?)
}

/// Returns a run if its script was started and it is not over.
pub(super) fn started_run(reading: &Reading<'_>, run: RunId) -> Result<Option<StartedRun>, StoreError> {
    reading.row(started_sql!("", "AND run.id = ?"), &[&run], started)
}

fn claim(row: &DbRow<'_>) -> Result<Claim, StoreError> {
    Ok(Claim { run: row.at(0)?, worker: row.at(1)?, at: row.at(2)? })
}

fn started(row: &DbRow<'_>) -> Result<StartedRun, StoreError> {
    let limit = row.get::<Option<u32>>("run_timeout")?.filter(|seconds| *seconds > 0);
    Ok(StartedRun {
        run: row.get("id")?,
        job: row.get("job")?,
        attempt: Attempt(row.get("attempt")?),
        heard: row.get("start_heard")?,
        limit: limit.map(|seconds| Duration::from_secs(seconds.into())),
    })
}

/// Applies the loss of its worker to a run, and returns the run as it is afterwards.
fn lose_run(
    transaction: &mut Transaction<'_>,
    run: Run,
    worker: WorkerId,
    max_losses: u32,
    now: Timestamp,
) -> Result<Run, StoreError> {
    let Some(job) = find_job(transaction, run.job)? else { return Ok(run) };
    let kill = kill_of_attempt(transaction, &run)?;
    let step = life::lose(&run, &LossFacts { kill, on_lost: job.on_lost, max_losses, now });
    let reason = FireReason::WorkerLost(WorkerAttempt { run: run.id, attempt: run.attempt, worker });
    let fire = Fire { job: job.id, due: run.schedule_dts, run: Some(run.id), reason, at: now };
    record(transaction, &fire)?;
    // A log that the worker has sent, even in part, is never overwritten.
    if step.ends() && log_chunks::of_run(transaction, run.id)?.is_none() {
        let log = log_chunks::begin(transaction, run.id, Some(&log_of_lost(&run, &job)))?;
        transaction.publish_on_commit([Change::RunLog(run.id, log.len())]);
    }
    publish(transaction, &step);
    write_step(transaction, &step, ClockNotes::default(), now)?;
    Ok(step.run)
}

/// Text that the original server writes into the log of a run whose worker was lost.
fn log_of_lost(run: &Run, job: &Job) -> String {
    format!(
        "This run for Id: {} (\"{}\"({})) was marked as failed. Reason: Worker does not respond to ping requests.",
        run.id, job.title, job.id
    )
}
