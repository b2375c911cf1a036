//! Kill requests: requested, taken by the run's worker, executed.

use sqlx::sqlite::SqliteConnection;

use super::rows::{self, micros};
use super::runs::{cancel, find};
use super::{Store, StoreError};
use crate::run::{KillId, RunId};
use crate::server::domain::life::Who;
use crate::server::domain::model::{Asker, KillCause, KillRequest, RunState, Timestamp};
use crate::server::store::changes::Change;

/// Report of a worker on a kill request; `None` leaves a field as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KillPatch {
    /// Time at which the worker took the request.
    pub enqueue_dts: Option<Timestamp>,
    /// Time at which no process of the run was left alive.
    pub execute_dts: Option<Timestamp>,
}

/// Outcome of a report on a kill request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillChange {
    /// The report is recorded, or was known.
    Made,
    /// The run is claimed by another worker.
    Theirs,
    /// There is no such kill request.
    Unknown,
}

impl Store {
    /// Requests the kill of a run. A run that no worker has claimed is cancelled at once, and one that is over stays as
    /// it is; their requests count as executed. Returns `None` if there is no such run.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn request_kill(&self, run: RunId, by: Asker, now: Timestamp) -> Result<Option<KillRequest>, StoreError> {
        let mut writing = self.write().await?;
        let Some(mut found) = find(&mut writing, run).await? else { return Ok(None) };
        let over = matches!(found.state(), RunState::Scheduled | RunState::Completed).then_some(micros(now));
        let kill = insert(&mut writing, run, over, by, now).await?;
        // The request exists and is published, even if there is nothing to kill.
        let mut news = vec![Change::KillRequested(kill.id)];
        if found.state() == RunState::Scheduled {
            news.extend(cancel(&mut writing, &mut found, by, now).await?);
        }
        writing.commit().await?;
        news.into_iter().for_each(|item| self.changes().publish(item));
        Ok(Some(kill))
    }

    /// Reads a kill request; `None` if there is no such request.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn kill(&self, kill: KillId) -> Result<Option<KillRequest>, StoreError> {
        let row = sqlx::query("SELECT * FROM kill_request WHERE id = ?").bind(kill.get());
        row.fetch_optional(&self.readers).await?.as_ref().map(rows::kill).transpose()
    }

    /// Records a worker's report on a kill request. Times that are known already stay as they are.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn change_kill(&self, kill: KillId, patch: KillPatch, who: Who) -> Result<KillChange, StoreError> {
        let mut writing = self.write().await?;
        let row = sqlx::query("SELECT * FROM kill_request WHERE id = ?").bind(kill.get());
        let Some(row) = row.fetch_optional(&mut *writing).await? else { return Ok(KillChange::Unknown) };
        let before = rows::kill(&row)?;
        let run = find(&mut writing, before.run).await?;
        // A run that was given back or lost has no worker any more, while its former one may still report the kill.
        if let (Who::Worker(me, _), Some(Some(worker))) = (who, run.map(|run| run.worker))
            && me != worker
        {
            return Ok(KillChange::Theirs);
        }
        let enqueue = before.enqueue_dts.or(patch.enqueue_dts);
        let execute = before.execute_dts.or(patch.execute_dts);
        sqlx::query("UPDATE kill_request SET enqueue_dts = ?, execute_dts = ? WHERE id = ?")
            .bind(enqueue.map(micros))
            .bind(execute.map(micros))
            .bind(kill.get())
            .execute(&mut *writing)
            .await?;
        writing.commit().await?;
        if before.enqueue_dts.is_none() && enqueue.is_some() {
            self.changes().publish(Change::KillTaken(kill));
        }
        if before.execute_dts.is_none() && execute.is_some() {
            self.changes().publish(Change::KillExecuted(kill));
        }
        Ok(KillChange::Made)
    }
}

/// Records an executed kill request for a run that was ended before any worker had claimed it.
pub(super) async fn note_kill(
    connection: &mut SqliteConnection,
    run: RunId,
    by: Asker,
    now: Timestamp,
) -> Result<(), StoreError> {
    insert(connection, run, Some(micros(now)), by, now).await.map(drop)
}

async fn insert(
    connection: &mut SqliteConnection,
    run: RunId,
    done: Option<i64>,
    by: Asker,
    now: Timestamp,
) -> Result<KillRequest, StoreError> {
    let query = sqlx::query(
        // A request that is done at once counts as taken and executed at the same time.
        "INSERT INTO kill_request (run, attempt, schedule_dts, enqueue_dts, execute_dts, cause, asked_by)
         VALUES (?1, (SELECT attempt FROM run WHERE id = ?1), ?2, ?3, ?3, ?4, ?5) RETURNING *",
    );
    let query = query.bind(run.get()).bind(micros(now)).bind(done).bind(rows::cause_name(KillCause::Asked));
    rows::kill(&query.bind(rows::asker_text(by)).fetch_one(connection).await?)
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
