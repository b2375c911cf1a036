//! Requests to kill: asked, taken by the run's worker, done.

use sqlx::sqlite::SqliteConnection;

use super::rows::{self, micros};
use super::runs::{cancel, find};
use super::{Store, StoreError};
use crate::run::{KillId, RunId};
use crate::server::domain::life::Who;
use crate::server::domain::model::{Asker, KillCause, KillRequest, RunState, Timestamp};
use crate::server::store::changes::Change;

/// What a worker tells of a request. `None`: not mentioned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KillPatch {
    /// When it was taken.
    pub enqueue_dts: Option<Timestamp>,
    /// When nothing was left alive.
    pub execute_dts: Option<Timestamp>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillChange {
    /// It is so.
    Made,
    /// The run is another worker's.
    Theirs,
    /// There is no such request.
    Unknown,
}

impl Store {
    /// Asks for a run to be killed. One that nobody has claimed is cancelled on the spot, and one that is over stays
    /// as it is. Nothing if there is no such run.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn request_kill(&self, run: RunId, by: Asker, now: Timestamp) -> Result<Option<KillRequest>, StoreError> {
        let mut writing = self.write().await?;
        let Some(mut found) = find(&mut writing, run).await? else { return Ok(None) };
        let over = matches!(found.state(), RunState::Scheduled | RunState::Completed).then_some(micros(now));
        let kill = insert(&mut writing, run, over, by, now).await?;
        let mut news = vec![Change::KillRequested(kill.id)];
        if found.state() == RunState::Scheduled {
            news.extend(cancel(&mut writing, &mut found, by, now).await?);
        }
        writing.commit().await?;
        news.into_iter().for_each(|item| self.changes().publish(item));
        Ok(Some(kill))
    }

    /// A request.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn kill(&self, kill: KillId) -> Result<Option<KillRequest>, StoreError> {
        let row = sqlx::query("SELECT * FROM kill_request WHERE id = ?").bind(kill.get());
        row.fetch_optional(&self.readers).await?.as_ref().map(rows::kill).transpose()
    }

    /// Keeps what the run's worker tells of a request. What is known already stays as it is.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn change_kill(&self, kill: KillId, patch: KillPatch, who: Who) -> Result<KillChange, StoreError> {
        let mut writing = self.write().await?;
        let row = sqlx::query("SELECT * FROM kill_request WHERE id = ?").bind(kill.get());
        let Some(row) = row.fetch_optional(&mut *writing).await? else { return Ok(KillChange::Unknown) };
        let before = rows::kill(&row)?;
        let run = find(&mut writing, before.run).await?;
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

/// Writes down that somebody ended a run that nobody had claimed: there is nothing to be done about it any more.
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
        "INSERT INTO kill_request (run, attempt, schedule_dts, enqueue_dts, execute_dts, cause, asked_by)
         VALUES (?1, (SELECT attempt FROM run WHERE id = ?1), ?2, ?3, ?3, ?4, ?5) RETURNING *",
    );
    let query = query.bind(run.get()).bind(micros(now)).bind(done).bind(rows::cause_name(KillCause::Asked));
    rows::kill(&query.bind(rows::asker_text(by)).fetch_one(connection).await?)
}
