//! Outages: the store finds out that it cannot write, says so once, refuses changes meanwhile, and finds out when it can again.
//!
//! Where the disk is full or broken, or memory is short, SQLite rolls the transaction back by itself. The driver's count
//! of open transactions does not notice, and would refuse to begin another one on that connection for good; such a
//! connection is closed when it comes back to its pool ([`is_sound`]), and the next change opens another.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::FutureExt;
use nix::sys::statvfs::statvfs;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Error};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::{Store, StoreError};
use crate::server::domain::model::Timestamp;

#[cfg(test)]
mod tests;

/// How much room the disk has at least, in bytes, before a store that ran out of it is written again: a pass of the
/// dispatcher and what workers have kept back fit in, so that the next write does not fail at once.
const MIN_FREE: u64 = 1 << 20;
/// How long after a write that failed the next one is tried.
const AGAIN: Duration = Duration::from_secs(1);
/// The setting that is written to find out whether anything can be.
const PROBE: &str = "last_probe";

/// What the store lacks, and since when.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server cannot write its data: {reason} (since {})", .since.format("%Y-%m-%d %H:%M:%S UTC"))]
pub struct Outage {
    /// When it was noticed.
    pub since: Timestamp,
    /// What is lacking, in words.
    pub reason: String,
}

/// Whether the store can be written, as far as is known.
#[derive(Clone, Debug)]
enum State {
    Writable,
    Out(Outage),
}

/// Knows whether the store can be written, for everybody who has the store. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Watchdog {
    state: Arc<watch::Sender<State>>,
    doubt: Arc<Notify>,
    directory: Arc<PathBuf>,
}

impl Watchdog {
    pub(super) fn new(file: &Path) -> Self {
        let directory = file.parent().unwrap_or(file).to_owned();
        let state = watch::Sender::new(State::Writable);
        Self { state: Arc::new(state), doubt: Arc::default(), directory: Arc::new(directory) }
    }

    /// Tells that a change failed in a way that others may fail, too.
    pub(super) fn doubt(&self) {
        self.doubt.notify_one();
    }

    fn outage(&self) -> Option<Outage> {
        match &*self.state.borrow() {
            State::Writable => None,
            State::Out(outage) => Some(outage.clone()),
        }
    }

    /// Refuses while nothing can be written.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.outage().map_or(Ok(()), |outage| Err(outage.into()))
    }
}

/// Whether a connection that comes back to its pool can be used again: it has no transaction, as far as the driver knows.
pub(super) async fn is_sound(connection: &mut SqliteConnection) -> Result<bool, Error> {
    if connection.is_in_transaction() {
        // What was dropped without a commit is rolled back before this is answered.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

impl Store {
    /// What the store lacks, if it cannot be written.
    #[must_use]
    pub fn outage(&self) -> Option<Outage> {
        self.watchdog.outage()
    }

    /// Waits until the store can be written, as far as is known.
    pub async fn writable(&self) {
        // We have the sender, so the wait ends in no other way.
        let _ = self.watchdog.state.subscribe().wait_for(|state| matches!(state, State::Writable)).await;
    }

    /// Tells that something failed, so that it is found out whether the store can be written.
    pub fn doubt(&self) {
        self.watchdog.doubt();
    }

    /// Finds out, whenever there is doubt, whether the store can be written, and when it can again. Never ends.
    pub async fn watch_outages(&self) {
        loop {
            self.watchdog.doubt.notified().await;
            match self.probe().await {
                Ok(()) => tracing::warn!(target: "job_runner.store", "a change failed; the next one can be written"),
                Err(reason) => self.outlast(reason).await,
            }
            // What failed until now is part of it.
            let _ = self.watchdog.doubt.notified().now_or_never();
            // However often there is doubt, it is looked at once in a while.
            sleep(AGAIN).await;
        }
    }

    /// An outage, from its beginning to its end.
    async fn outlast(&self, reason: String) {
        let outage = Outage { since: Utc::now(), reason };
        let since = outage.since;
        tracing::error!(target: "job_runner.store", "the server cannot write its data: {}; nothing is started until it can", outage.reason);
        self.watchdog.state.send_replace(State::Out(outage));
        loop {
            sleep(AGAIN).await;
            match self.probe().await {
                Ok(()) => break,
                Err(reason) => drop(self.watchdog.state.send_replace(State::Out(Outage { since, reason }))),
            }
        }
        self.watchdog.state.send_replace(State::Writable);
        let lasted = (Utc::now() - since).num_seconds();
        tracing::info!(target: "job_runner.store", "the server can write again, after {lasted} s");
    }

    /// Writes and reads; answers with what is lacking.
    async fn probe(&self) -> Result<(), String> {
        let free =
            statvfs(self.watchdog.directory.as_path()).map(|disk| disk.blocks_available() * disk.fragment_size());
        if let Ok(free) = free
            && free < MIN_FREE
        {
            let free = free / 1024;
            return Err(format!("the disk of data_path is full ({free} kB are free, {} are needed)", MIN_FREE / 1024));
        }
        self.write_probe().await.map_err(|e| reason(&e))
    }

    async fn write_probe(&self) -> Result<(), StoreError> {
        let mut writing = self.begin().await?;
        let now = Utc::now().timestamp_micros().to_string();
        let query = sqlx::query("INSERT OR REPLACE INTO setting VALUES (?, ?)").bind(PROBE).bind(now);
        query.execute(&mut *writing).await?;
        writing.commit().await?;
        self.setting(PROBE).await?;
        Ok(())
    }
}

/// What SQLite lacks, in words.
fn reason(error: &StoreError) -> String {
    match error {
        StoreError::Ask(Error::Database(said)) if primary(said.code().as_deref()) == Some(FULL) => {
            "the disk of data_path is full".to_owned()
        }
        StoreError::Ask(Error::Database(said)) if primary(said.code().as_deref()) == Some(BUSY) => {
            "another process has locked the database".to_owned()
        }
        StoreError::Ask(said) => format!("{said}; look at the disk of data_path"),
        other => other.to_string(),
    }
}

const BUSY: u32 = 5;
const FULL: u32 = 13;
/// The result codes of SQLite that say that the store cannot be used for now, rather than that a question was wrong:
/// PERM, BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB.
const OUTAGES: [u32; 12] = [3, BUSY, 6, 7, 8, 9, 10, 11, FULL, 14, 15, 26];

/// The part of a result code that says what kind it is.
fn primary(code: Option<&str>) -> Option<u32> {
    code?.parse::<u32>().ok().map(|code| code & 0xff)
}

/// Whether an error says that the store cannot be used for now.
pub(super) fn is_outage(error: &Error) -> bool {
    match error {
        Error::Database(said) => primary(said.code().as_deref()).is_some_and(|code| OUTAGES.contains(&code)),
        Error::PoolTimedOut | Error::Io(_) | Error::WorkerCrashed => true,
        // Of a connection that was rolled back behind the driver's back.
        Error::BeginFailed | Error::InvalidSavePointStatement => true,
        _ => false,
    }
}
