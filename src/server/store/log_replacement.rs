//! Whole logs: replaces the log of a run by the text that a client of the REST API sends.

use super::db::Transaction;
use super::log_chunks::{self, Extent};
use super::runs::find;
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::domain::life::{self, Actor, LifeRefusal};
use crate::server::domain::model::LogId;
use crate::server::store::changes::Change;

/// Outcome of a change of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogChange {
    /// The text is kept in this log.
    Kept(LogId),
    /// The sender may not write the log of this run.
    Refused(LifeRefusal),
    /// There is no such run, or no such log.
    Unknown,
}

impl Store {
    /// Replaces the log of a run. What the old and the new text begin with stays as it is, so that a follower of the
    /// log loses nothing.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn put_log(&self, run: RunId, content: Option<&str>, who: Actor) -> Result<LogChange, StoreError> {
        let content = content.map(str::to_owned);
        self.change(move |transaction| {
            let content = content.as_deref();
            let Some(found) = find(transaction, run)? else { return Ok(LogChange::Unknown) };
            let allowed = life::may_log(&found, who);
            let before = log_chunks::of_run(transaction, run)?;
            let common = match (&before, content) {
                (Some(before), Some(content)) => log_chunks::common(transaction, before, content)?,
                _ => 0,
            };
            if let Some(before) = &before
                && before.bytes == content.map(|content| content.len() as u64)
                && before.len() == common
                // The same text again is accepted even after the run is over: a worker that received no answer repeats
                // its request.
                && allowed != Err(LifeRefusal::Theirs)
            {
                return Ok(LogChange::Kept(before.log));
            }
            if let Err(refusal) = allowed {
                return Ok(LogChange::Refused(refusal));
            }
            let log = match before {
                None => log_chunks::begin(transaction, run, content)?,
                Some(before) => replace(transaction, before, common, content)?,
            };
            transaction.publish_on_commit([Change::RunLog(run, log.len())]);
            Ok(LogChange::Kept(log.log))
        })
        .await
    }

    /// Returns the run of a log; `None` if there is no such log.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn run_of_log(&self, log: LogId) -> Result<Option<RunId>, StoreError> {
        self.read(move |reading| Ok(reading.value("SELECT run FROM run_log WHERE id = ?", &[&log])?)).await
    }
}

/// Writes the part of a log that differs: the common beginning stays as it is.
fn replace(
    transaction: &mut Transaction<'_>,
    mut log: Extent,
    common: u64,
    content: Option<&str>,
) -> Result<Extent, StoreError> {
    if common < log.len() {
        log_chunks::cut(transaction, &mut log, common)?;
    }
    let Some(content) = content else {
        log.bytes = None;
        log_chunks::save(transaction, &log)?;
        return Ok(log);
    };
    let rest = usize::try_from(common).unwrap_or(usize::MAX);
    log_chunks::append(transaction, &mut log, &content.as_bytes()[rest..])?;
    Ok(log)
}
