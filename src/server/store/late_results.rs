//! Late results: keeps what workers report of attempts that no longer count, for people who look for it.

use chrono::TimeDelta;

use super::db::{DbRow, Reading, Transaction};
use super::fires::attempts_not_finished;
use super::{Store, StoreError, rows};
use crate::run::{Attempt, RunId};
use crate::server::domain::life::late::{LateReason, LateResult, had_attempt};
use crate::server::domain::model::{JobId, Run, Timestamp};
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
        self.read(move |reading| of_run(reading, run)).await
    }

    /// Returns the late results of a job's runs, the latest report first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn late_results_of_job(&self, job: JobId, limit: u32) -> Result<Vec<LateReport>, StoreError> {
        let sql = format!(
            // Late results are rare: all of them are gone through, rather than all runs of the job.
            "{SELECT} CROSS JOIN run WHERE run.id = late_result.run AND run.job = ? ORDER BY late_result.id DESC LIMIT ?"
        );
        self.read(move |reading| reading.rows(&sql, &[&job, &limit], late_report)).await
    }
}

/// Reads the late results of a run, in the order of their reports.
pub(super) fn of_run(reading: &Reading<'_>, run: RunId) -> Result<Vec<LateReport>, StoreError> {
    let sql = format!("{SELECT} WHERE late_result.run = ? ORDER BY late_result.id LIMIT ?");
    reading.rows(&sql, &[&run, &KEPT], late_report)
}

/// Records a late result, if its worker is known to have had the attempt ([`had_attempt`]).
///
/// Nothing is known of an earlier attempt whose fire has been deleted since, as the oldest of a job are, nor of one that
/// an operator took from its worker.
pub(super) fn keep(transaction: &mut Transaction<'_>, run: &Run, late: &LateResult) -> Result<(), StoreError> {
    let earlier = attempts_not_finished(transaction, run)?;
    if had_attempt(late, run, &earlier) {
        return insert(transaction, late);
    }
    tracing::debug!(
        target: "job_runner.store",
        run = %run.id,
        job = %run.job,
        worker = %late.worker,
        attempt = late.attempt.map(tracing::field::display),
        "late result is not recorded: the worker is not known to have had the attempt"
    );
    Ok(())
}

/// Records a late result, unless it is recorded already or [`KEPT`] others of the run are: a worker that received no
/// answer reports again.
fn insert(transaction: &mut Transaction<'_>, late: &LateResult) -> Result<(), StoreError> {
    transaction.write(
        "INSERT INTO late_result (run, attempt, worker, at, why, returned, success, exit, clock_ahead)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, (SELECT clock_ahead FROM worker WHERE id = ?3)
         WHERE (SELECT count(*) FROM late_result WHERE run = ?1) < ?9
         AND NOT EXISTS (SELECT 1 FROM late_result WHERE run = ?1 AND attempt IS NOT DISTINCT FROM ?2 AND worker = ?3
             AND returned IS NOT DISTINCT FROM ?6 AND success IS NOT DISTINCT FROM ?7)",
        &[
            &late.run,
            &late.attempt.map(|attempt| attempt.0),
            &late.worker,
            &late.reported,
            &late.reason.map_or("", LateReason::code),
            &late.returned,
            &late.success,
            &late.exit.map(rows::exit_text),
            &KEPT,
        ],
    )?;
    Ok(())
}

/// Reads a late result. The time of the return is the worker's; where its clock was off at the report, it is shifted to
/// the server's, so that no page mixes two clocks.
fn late_report(row: &DbRow<'_>) -> Result<LateReport, StoreError> {
    let ahead = TimeDelta::milliseconds(row.get::<Option<i64>>("clock_ahead")?.unwrap_or(0));
    let returned: Option<Timestamp> = row.get("returned")?;
    let result = LateResult {
        run: row.get("run")?,
        attempt: row.get::<Option<u32>>("attempt")?.map(Attempt),
        worker: row.get("worker")?,
        reported: row.get("at")?,
        returned: if is_off(ahead) { returned.map(|at| at.checked_sub_signed(ahead).unwrap_or(at)) } else { returned },
        success: row.get("success")?,
        exit: row.get::<Option<String>>("exit")?.as_deref().and_then(rows::exit),
        reason: LateReason::of_code(&row.text("why")?),
    };
    Ok(LateReport { result, worker: row.get("worker_title")? })
}
