//! Fires: records what became of each time at which a job was due, once each.

use super::db::{DbError, Reading, Transaction};
use super::fire_reasons::{GIVEN_BACK, WORKER_LOST, reason_facts};
use super::{Store, StoreError, rows};
use crate::server::domain::fire::{Fire, FireReason, WorkerAttempt};
use crate::server::domain::model::{JobId, Run};
use crate::wire::reason::ReasonParams;

/// Fires that are kept of a job; the oldest are deleted first.
const KEPT: i64 = 1000;

impl Store {
    /// Returns what became of the latest times at which a job was due, latest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn fires(&self, job: JobId, limit: u32) -> Result<Vec<Fire>, StoreError> {
        let sql = "SELECT * FROM fire WHERE job = ? ORDER BY id DESC LIMIT ?";
        self.read(move |reading| reading.rows(sql, &[&job, &limit], rows::fire)).await
    }
}

/// Returns whether a reason is among the latest ten fires of a job.
pub(super) fn was_recorded(reading: &Reading<'_>, job: JobId, reason: &FireReason) -> Result<bool, StoreError> {
    let (code, params) = reason_facts(reason);
    let found = reading.value(
        "SELECT EXISTS (SELECT 1 FROM (SELECT code, params FROM fire WHERE job = ? ORDER BY id DESC LIMIT 10) AS latest
         WHERE code = ? AND params = ?)",
        &[&job, &code, &text(&params)?],
    )?;
    Ok(found.unwrap_or(false))
}

/// Returns the attempts of a run that were lost or given back, as far as their fires are kept: [`KEPT`] of each job are.
pub(super) fn attempts_not_finished(reading: &Reading<'_>, run: &Run) -> Result<Vec<WorkerAttempt>, StoreError> {
    let mut attempts = Vec::new();
    let sql = "SELECT * FROM fire WHERE job = ? AND run = ? AND code IN (?, ?)";
    for fire in reading.rows(sql, &[&run.job, &run.id, &WORKER_LOST, &GIVEN_BACK], rows::fire)? {
        if let FireReason::WorkerLost(attempt) | FireReason::GivenBack(attempt) = fire.reason {
            attempts.push(attempt);
        }
    }
    Ok(attempts)
}

/// Records a fire, unless it is recorded already: each evaluation finds the same facts again.
pub(super) fn record(transaction: &mut Transaction<'_>, fire: &Fire) -> Result<(), StoreError> {
    let (code, params) = reason_facts(&fire.reason);
    // The unique index `fire_once` over all columns but the time of recording makes a repetition a conflict.
    let recorded = transaction.execute(
        "INSERT INTO fire (job, due, run, what, code, params, at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        &[&fire.job, &fire.due, &fire.run, &fire.reason.kind().word(), &code, &text(&params)?, &fire.at],
    )?;
    if recorded == 0 {
        return Ok(());
    }
    transaction.write(
        "DELETE FROM fire WHERE job = ?1 AND id <= (SELECT id FROM fire WHERE job = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        &[&fire.job, &KEPT],
    )?;
    Ok(())
}

/// Records why a run waits, unless it waited for a reason of this kind before: of many runs that wait for one another, each
/// would be recorded again whenever the first of them changes.
pub(super) fn record_wait(transaction: &mut Transaction<'_>, fire: &Fire) -> Result<(), StoreError> {
    let (code, _) = reason_facts(&fire.reason);
    let is_recorded = transaction.value(
        "SELECT EXISTS (SELECT 1 FROM fire WHERE run = ? AND due = ? AND what = ? AND code = ?)",
        &[&fire.run, &fire.due, &fire.reason.kind().word(), &code],
    )?;
    if is_recorded.unwrap_or(false) { Ok(()) } else { record(transaction, fire) }
}

/// Encodes parameters as the column has them.
fn text(params: &ReasonParams) -> Result<String, StoreError> {
    serde_json::to_string(params).map_err(|e| DbError::Strange(format!("a reason ({e})")).into())
}
