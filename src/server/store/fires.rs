//! Fires: records what became of each time at which a job was due, once each.

use sqlx::sqlite::SqliteConnection;

use super::fire_reasons::{GIVEN_BACK, WORKER_LOST, reason_facts};
use super::rows::{self, micros};
use super::{Store, StoreError};
use crate::run::RunId;
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
        let query = sqlx::query("SELECT * FROM fire WHERE job = ? ORDER BY id DESC LIMIT ?");
        let found = query.bind(job.get()).bind(limit).fetch_all(&self.readers).await?;
        found.iter().map(rows::fire).collect()
    }
}

/// Returns whether a reason is among the latest ten fires of a job.
pub(super) async fn was_recorded(
    connection: &mut SqliteConnection,
    job: JobId,
    reason: &FireReason,
) -> Result<bool, StoreError> {
    let (code, params) = reason_facts(reason);
    let query = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM (SELECT code, params FROM fire WHERE job = ? ORDER BY id DESC LIMIT 10)
         WHERE code = ? AND params = ?)",
    );
    Ok(query.bind(job.get()).bind(code).bind(text(&params)?).fetch_one(connection).await?)
}

/// Returns the attempts of a run that were lost or given back, as far as their fires are kept: [`KEPT`] of each job are.
pub(super) async fn attempts_not_finished(
    connection: &mut SqliteConnection,
    run: &Run,
) -> Result<Vec<WorkerAttempt>, StoreError> {
    let query = sqlx::query("SELECT * FROM fire WHERE job = ? AND run = ? AND code IN (?, ?)");
    let query = query.bind(run.job.get()).bind(run.id.get()).bind(WORKER_LOST).bind(GIVEN_BACK);
    let mut attempts = Vec::new();
    for row in query.fetch_all(connection).await? {
        if let FireReason::WorkerLost(attempt) | FireReason::GivenBack(attempt) = rows::fire(&row)?.reason {
            attempts.push(attempt);
        }
    }
    Ok(attempts)
}

/// Records a fire, unless it is recorded already: each evaluation finds the same facts again.
pub(super) async fn record(connection: &mut SqliteConnection, fire: &Fire) -> Result<(), StoreError> {
    let (code, params) = reason_facts(&fire.reason);
    // The unique index `fire_once` over all columns but the time of recording makes a repetition a conflict.
    let query =
        sqlx::query("INSERT OR IGNORE INTO fire (job, due, run, what, code, params, at) VALUES (?, ?, ?, ?, ?, ?, ?)")
            .bind(fire.job.get())
            .bind(micros(fire.due))
            .bind(fire.run.map(RunId::get))
            .bind(fire.reason.kind().word())
            .bind(code)
            .bind(text(&params)?)
            .bind(micros(fire.at));
    if query.execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(());
    }
    let query = sqlx::query(
        "DELETE FROM fire WHERE job = ?1 AND id <= (SELECT id FROM fire WHERE job = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    );
    query.bind(fire.job.get()).bind(KEPT).execute(connection).await?;
    Ok(())
}

/// Encodes parameters as the column has them.
fn text(params: &ReasonParams) -> Result<String, StoreError> {
    serde_json::to_string(params).map_err(|e| StoreError::Ask(sqlx::Error::Encode(e.into())))
}
