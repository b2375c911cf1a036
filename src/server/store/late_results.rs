//! Late results: keeps what workers report of attempts that no longer count, for people who look for it.

use chrono::TimeDelta;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::fires::attempts_not_finished;
use super::rows::{self, instant_of, micros};
use super::{Store, StoreError};
use crate::run::{Attempt, RunId};
use crate::server::domain::life::late::{LateReason, LateResult, had_attempt};
use crate::server::domain::model::{JobId, Run, WorkerId};
use crate::server::domain::worker_state::is_off;

/// Maximum number of late results that are kept of a run. The store keeps the first ones, so that a worker that goes on
/// reporting displaces none.
const KEPT: u32 = 20;

/// A late result, with the title of its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateReport {
    /// Result, with its times by the server's clock.
    pub result: LateResult,
    /// Title of the worker; `None` if it was deleted.
    pub worker: Option<String>,
}

const SELECT: &str = "SELECT late_result.*, worker.title AS worker_title
    FROM late_result LEFT JOIN worker ON worker.id = late_result.worker";

impl Store {
    /// Returns the late results of a run, in the order of their reports.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn late_results_of_run(&self, run: RunId) -> Result<Vec<LateReport>, StoreError> {
        let sql = format!("{SELECT} WHERE late_result.run = ? ORDER BY late_result.id LIMIT ?");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(run.get()).bind(KEPT);
        query.fetch_all(&self.readers).await?.iter().map(late_report).collect()
    }

    /// Returns the late results of a job's runs, the latest report first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn late_results_of_job(&self, job: JobId, limit: u32) -> Result<Vec<LateReport>, StoreError> {
        let sql = format!(
            // Late results are rare: all of them are gone through, rather than all runs of the job.
            "{SELECT} CROSS JOIN run ON run.id = late_result.run WHERE run.job = ? ORDER BY late_result.id DESC LIMIT ?"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(job.get()).bind(limit);
        query.fetch_all(&self.readers).await?.iter().map(late_report).collect()
    }
}

/// Records a late result, if its worker is known to have had the attempt ([`had_attempt`]), and returns whether it is.
///
/// Nothing is known of an earlier attempt whose fire has been deleted since, as the oldest of a job are, nor of one that
/// an operator took from its worker.
pub(super) async fn keep(connection: &mut SqliteConnection, run: &Run, late: &LateResult) -> Result<bool, StoreError> {
    let earlier = attempts_not_finished(connection, run).await?;
    let is_known = had_attempt(late, run, &earlier);
    if is_known {
        insert(connection, late).await?;
    } else {
        tracing::debug!(
            target: "job_runner.store",
            run = %run.id,
            job = %run.job,
            worker = %late.worker,
            attempt = late.attempt.map(tracing::field::display),
            "late result is not recorded: the worker is not known to have had the attempt"
        );
    }
    Ok(is_known)
}

/// Records a late result, unless it is recorded already or [`KEPT`] others of the run are: a worker that received no
/// answer reports again.
async fn insert(connection: &mut SqliteConnection, late: &LateResult) -> Result<(), StoreError> {
    let query = sqlx::query(
        "INSERT INTO late_result (run, attempt, worker, at, why, returned, success, exit, clock_ahead)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, (SELECT clock_ahead FROM worker WHERE id = ?3)
         WHERE (SELECT count(*) FROM late_result WHERE run = ?1) < ?9
         AND NOT EXISTS (SELECT 1 FROM late_result WHERE run = ?1 AND attempt IS ?2 AND worker = ?3 AND returned IS ?6
             AND success IS ?7)",
    );
    let query = query
        .bind(late.run.get())
        .bind(late.attempt.map(|attempt| attempt.0))
        .bind(late.worker.get())
        .bind(micros(late.reported))
        .bind(late.reason.map_or("", LateReason::code))
        .bind(late.returned.map(micros))
        .bind(late.success)
        .bind(late.exit.map(rows::exit_text))
        .bind(KEPT);
    query.execute(connection).await?;
    Ok(())
}

/// Reads a late result. The time of the return is the worker's; where its clock was off at the report, it is shifted to
/// the server's, so that no page mixes two clocks.
fn late_report(row: &SqliteRow) -> Result<LateReport, StoreError> {
    let missing = || sqlx::Error::RowNotFound;
    let ahead = TimeDelta::milliseconds(row.try_get::<Option<i64>, _>("clock_ahead")?.unwrap_or(0));
    let returned = instant_of(row, "returned")?;
    let result = LateResult {
        run: RunId::new(row.try_get("run")?).ok_or_else(missing)?,
        attempt: row.try_get::<Option<u32>, _>("attempt")?.map(Attempt),
        worker: row.try_get::<Option<i64>, _>("worker")?.and_then(WorkerId::new).ok_or_else(missing)?,
        reported: instant_of(row, "at")?.ok_or_else(missing)?,
        returned: if is_off(ahead) { returned.map(|at| at.checked_sub_signed(ahead).unwrap_or(at)) } else { returned },
        success: row.try_get("success")?,
        exit: row.try_get::<Option<String>, _>("exit")?.as_deref().and_then(rows::exit),
        reason: LateReason::of_code(row.try_get("why")?),
    };
    Ok(LateReport { result, worker: row.try_get("worker_title")? })
}
