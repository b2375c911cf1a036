//! The log of a run that goes on, piece by piece.

use super::runs::find;
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::life::{self, Refusal, Who};
use crate::server::model::LogId;
use crate::server::news::Item;

/// What became of a piece of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is kept.
    Kept(LogId),
    /// The log has another length, in bytes.
    Elsewhere(u64),
    /// With it, the log would be longer than it may.
    TooLong,
    /// It may not be written.
    Refused(Refusal),
    /// There is no such run.
    Unknown,
}

impl Store {
    /// Appends to the log of a run that is `from` bytes long; to none, if that is 0. A log has `most` bytes at most.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn append_log(
        &self,
        run: RunId,
        from: u64,
        text: &str,
        who: Who,
        most: usize,
    ) -> Result<Appended, StoreError> {
        let mut writing = self.write().await?;
        let Some(found) = find(&mut writing, run).await? else { return Ok(Appended::Unknown) };
        if let Err(refusal) = life::may_log(&found, who) {
            return Ok(Appended::Refused(refusal));
        }
        let query = sqlx::query_scalar("SELECT length(CAST(content AS BLOB)) FROM run_log WHERE run = ?");
        let length: Option<Option<i64>> = query.bind(run.get()).fetch_optional(&mut *writing).await?;
        let length = u64::try_from(length.flatten().unwrap_or(0)).unwrap_or(0);
        if length != from {
            return Ok(Appended::Elsewhere(length));
        }
        let after = length + text.len() as u64;
        if after > most as u64 {
            return Ok(Appended::TooLong);
        }
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO run_log (run, content) VALUES (?, ?)
             ON CONFLICT (run) DO UPDATE SET content = coalesce(content, '') || excluded.content RETURNING id",
        )
        .bind(run.get())
        .bind(text)
        .fetch_one(&mut *writing)
        .await?;
        writing.commit().await?;
        self.news().tell(Item::RunLog(run, after));
        Ok(LogId::new(id).map_or(Appended::Unknown, Appended::Kept))
    }
}
