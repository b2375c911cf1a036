//! Fires: records what became of each time at which a job was due, once each.

use sqlx::sqlite::SqliteConnection;

use super::rows::{self, micros};
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::domain::model::{Fire, JobId};

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
pub(super) async fn was_said(connection: &mut SqliteConnection, job: JobId, reason: &str) -> Result<bool, StoreError> {
    let query = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM (SELECT reason FROM fire WHERE job = ? ORDER BY id DESC LIMIT 10) WHERE reason = ?)",
    );
    Ok(query.bind(job.get()).bind(reason).fetch_one(connection).await?)
}

/// Records a fire, unless it is recorded already: each evaluation finds the same facts again.
pub(super) async fn record(connection: &mut SqliteConnection, fire: &Fire) -> Result<(), StoreError> {
    // The unique index `fire_once` over all columns but the time of recording makes a repetition a conflict.
    let query = sqlx::query("INSERT OR IGNORE INTO fire (job, due, run, what, reason, at) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(fire.job.get())
        .bind(micros(fire.due))
        .bind(fire.run.map(RunId::get))
        .bind(rows::fire_name(fire.what))
        .bind(&fire.reason)
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
