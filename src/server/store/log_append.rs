//! Appends to logs: takes the log of a run that goes on, piece by piece.

use super::log_chunks::{self, Extent};
use super::runs::find;
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::domain::life::{self, Actor, LifeRefusal};
use crate::server::domain::model::LogId;
use crate::server::store::changes::Change;

/// Outcome of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The piece is kept in this log.
    Kept(LogId),
    /// The log has this length in bytes, not the one that the piece was to follow.
    WrongOffset(u64),
    /// The log would exceed its longest allowed length.
    TooLong,
    /// The sender may not write the log of this run.
    Refused(LifeRefusal),
    /// There is no such run.
    Unknown,
}

impl Store {
    /// Appends a text to the log of a run, which must be `from` bytes long; a run without log is created one if `from`
    /// is 0. The log is at most `most` bytes long afterwards.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn append_log(
        &self,
        run: RunId,
        from: u64,
        text: &str,
        who: Actor,
        most: u64,
    ) -> Result<Appended, StoreError> {
        let text = text.to_owned();
        self.change(move |transaction| {
            log_chunks::ask_for_log(transaction, run);
            let Some(found) = find(transaction, run)? else { return Ok(Appended::Unknown) };
            if let Err(refusal) = life::may_log(&found, who) {
                return Ok(Appended::Refused(refusal));
            }
            let before = log_chunks::of_run(transaction, run)?;
            let length = before.as_ref().map_or(0, Extent::len);
            // The worker goes on from the length in the answer, so that an append whose answer was lost is not added
            // twice.
            if length != from {
                return Ok(Appended::WrongOffset(length));
            }
            if length + text.len() as u64 > most {
                return Ok(Appended::TooLong);
            }
            let log = match before {
                None => log_chunks::begin(transaction, run, Some(&text))?,
                Some(mut log) => {
                    log_chunks::append(transaction, &mut log, text.as_bytes())?;
                    log
                }
            };
            transaction.publish_on_commit([Change::RunLog(run, log.len())]);
            Ok(Appended::Kept(log.log))
        })
        .await
    }
}
