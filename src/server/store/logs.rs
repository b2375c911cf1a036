//! Logs of runs: written by who executes the run, for as long as it lasts.

use super::lists::Log;
use super::runs::find;
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::life::{self, Refusal, Who};
use crate::server::model::LogId;
use crate::server::news::Item;

/// What became of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogChange {
    /// It is kept.
    Kept(LogId),
    /// It may not be written.
    Refused(Refusal),
    /// There is no such run, or no such log.
    Unknown,
}

impl Store {
    /// Keeps the log of a run, in the place of the one that is there.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn put_log(&self, run: RunId, content: Option<&str>, who: Who) -> Result<LogChange, StoreError> {
        let mut writing = self.write().await?;
        let Some(found) = find(&mut writing, run).await? else { return Ok(LogChange::Unknown) };
        let before = sqlx::query("SELECT * FROM run_log WHERE run = ?").bind(run.get()).fetch_optional(&mut *writing);
        let before = before.await?.as_ref().map(super::rows::log).transpose()?;
        if let Some(before) = &before
            && before.content.as_deref() == content
            && life::may_log(&found, who) != Err(Refusal::Theirs)
        {
            return Ok(LogChange::Kept(before.id));
        }
        if let Err(refusal) = life::may_log(&found, who) {
            return Ok(LogChange::Refused(refusal));
        }
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO run_log (run, content) VALUES (?, ?)
             ON CONFLICT (run) DO UPDATE SET content = excluded.content RETURNING id",
        )
        .bind(run.get())
        .bind(content)
        .fetch_one(&mut *writing)
        .await?;
        writing.commit().await?;
        self.news().tell(Item::RunLog(run, content.map_or(0, str::len) as u64));
        Ok(LogId::new(id).map_or(LogChange::Unknown, LogChange::Kept))
    }

    /// A log.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn log(&self, log: LogId) -> Result<Option<Log>, StoreError> {
        let row = sqlx::query("SELECT * FROM run_log WHERE id = ?").bind(log.get()).fetch_optional(&self.readers);
        row.await?.as_ref().map(super::rows::log).transpose()
    }
}
