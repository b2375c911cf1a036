//! Outages: detects that the store cannot be written, logs it once, refuses changes meanwhile, and detects its end.
//!
//! Where the disk is full or broken, or memory is short, SQLite may roll a transaction back by itself; `db` runs each change
//! of it again alone, and answers with the error of the one that fails. PostgreSQL is out while it cannot be reached.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::FutureExt;
use nix::sys::statvfs::statvfs;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::db::DbError;
use super::{Store, StoreError};
use crate::run::chain_of;
use crate::server::domain::model::Timestamp;

#[cfg(test)]
mod tests;

/// Free bytes that the disk must have before the store counts as writable: a pass of the dispatcher and the results
/// that workers have kept back fit in, so that the next write does not fail at once.
const MIN_FREE: u64 = 1 << 20;
/// Pause between two probes of the store.
const PROBE_PAUSE: Duration = Duration::from_secs(1);
/// Setting that is written to find out whether the store can be written.
const PROBE: &str = "last_probe";

/// An outage of the store: since when, and for which reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server cannot write its data: {reason} (since {})", .since.format("%Y-%m-%d %H:%M:%S UTC"))]
pub struct Outage {
    /// Time at which the outage was noticed.
    pub since: Timestamp,
    /// Reason, as a phrase for people.
    pub reason: String,
}

/// Whether the store can be written, by the last probe.
#[derive(Clone, Debug)]
enum State {
    Writable,
    Out(Outage),
}

/// Knows whether the store can be written; shared by all clones of the store. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Watchdog {
    state: Arc<watch::Sender<State>>,
    failures: Arc<Notify>,
    /// Folder of the file; none with PostgreSQL, whose disk is its own.
    directory: Option<Arc<PathBuf>>,
}

impl Watchdog {
    pub(super) fn new(file: &Path) -> Self {
        let directory = file.parent().unwrap_or(file).to_owned();
        Self { directory: Some(Arc::new(directory)), ..Self::of_server() }
    }

    /// For a store in PostgreSQL.
    pub(super) fn of_server() -> Self {
        let state = watch::Sender::new(State::Writable);
        Self { state: Arc::new(state), failures: Arc::default(), directory: None }
    }

    /// Reports that a change failed for a reason for which others may fail, too; the next probe finds out.
    pub(super) fn report_failure(&self) {
        self.failures.notify_one();
    }

    fn outage(&self) -> Option<Outage> {
        match &*self.state.borrow() {
            State::Writable => None,
            State::Out(outage) => Some(outage.clone()),
        }
    }

    /// Fails during an outage.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.outage().map_or(Ok(()), |outage| Err(outage.into()))
    }
}

impl Store {
    /// Returns the present outage, if there is one.
    #[must_use]
    pub fn outage(&self) -> Option<Outage> {
        self.watchdog.outage()
    }

    /// Waits until the store can be written, by the last probe.
    pub async fn writable(&self) {
        // The sender is part of `self`, so the wait cannot end because it was dropped.
        let _ = self.watchdog.state.subscribe().wait_for(|state| matches!(state, State::Writable)).await;
    }

    /// Reports that an operation failed, so that the store is probed.
    pub fn report_failure(&self) {
        self.watchdog.report_failure();
    }

    /// Probes the store whenever a failure is reported, and follows each outage to its end. Never returns.
    pub async fn watch_outages(&self) {
        loop {
            self.watchdog.failures.notified().await;
            match self.probe().await {
                Ok(()) => tracing::warn!(target: "job_runner.store", "change failed, but the store can be written"),
                Err(reason) => self.outlast(reason).await,
            }
            // Failures up to here belong to the outage that was just followed.
            let _ = self.watchdog.failures.notified().now_or_never();
            // The pause bounds how often the store is probed, however often a failure is reported.
            sleep(PROBE_PAUSE).await;
        }
    }

    /// Follows an outage from its beginning to its end.
    async fn outlast(&self, reason: String) {
        let outage = Outage { since: Utc::now(), reason };
        let since = outage.since;
        tracing::error!(
            target: "job_runner.store",
            error = %outage.reason,
            "store cannot be written; nothing is started until it can"
        );
        self.watchdog.state.send_replace(State::Out(outage));
        loop {
            sleep(PROBE_PAUSE).await;
            match self.probe().await {
                Ok(()) => break,
                Err(reason) => drop(self.watchdog.state.send_replace(State::Out(Outage { since, reason }))),
            }
        }
        self.watchdog.state.send_replace(State::Writable);
        let lasted = (Utc::now() - since).num_seconds();
        tracing::info!(target: "job_runner.store", outage_s = lasted, "store can be written again");
    }

    /// Probes the store by a write and a read; the error is the reason of the outage.
    async fn probe(&self) -> Result<(), String> {
        let disk = self.watchdog.directory.as_ref().and_then(|directory| statvfs(directory.as_path()).ok());
        if let Some(free) = disk.map(|disk| disk.blocks_available() * disk.fragment_size())
            && free < MIN_FREE
        {
            let free = free / 1024;
            return Err(format!("the disk of data_path is full ({free} kB are free, {} are needed)", MIN_FREE / 1024));
        }
        self.write_probe().await.map_err(|e| reason(&e))
    }

    async fn write_probe(&self) -> Result<(), StoreError> {
        let now = Utc::now().timestamp_micros().to_string();
        // `Store::change` would refuse during the outage whose end is to be found.
        let probe = self.db.change(move |transaction| {
            let sql = "INSERT INTO setting (name, value) VALUES (?, ?)
                       ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            transaction.execute(sql, &[&PROBE, &now])
        });
        probe.await?;
        self.setting(PROBE).await?;
        Ok(())
    }
}

/// Reason of an outage, as a phrase for people.
fn reason(error: &StoreError) -> String {
    match error {
        StoreError::Ask(asked) if primary(asked) == Some(FULL) => "the disk of data_path is full".to_owned(),
        StoreError::Ask(asked) if primary(asked) == Some(BUSY) => "another process has locked the database".to_owned(),
        // Its chain names host and database, and says the cause.
        StoreError::Ask(asked @ DbError::Postgres(_)) => chain_of(asked),
        StoreError::Ask(asked) => format!("{asked}; look at the disk of data_path"),
        other => other.to_string(),
    }
}

const BUSY: i32 = 5;
const FULL: i32 = 13;
/// Primary result codes of SQLite by which the store cannot be used for now, as opposed to a wrong statement: PERM,
/// BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB.
const OUTAGES: [i32; 12] = [3, BUSY, 6, 7, 8, 9, 10, 11, FULL, 14, 15, 26];

/// Primary part of SQLite's extended result code: its lowest byte.
fn primary(error: &DbError) -> Option<i32> {
    match error {
        DbError::Sqlite(refusal) => refusal.sqlite_error().map(|code| code.extended_code & 0xff),
        _ => None,
    }
}

/// Returns whether an error means that the store cannot be used for now.
pub(super) fn is_outage(error: &DbError) -> bool {
    match error {
        DbError::Postgres(failure) => failure.is_outage(),
        DbError::Sqlite(_) => primary(error).is_some_and(|code| OUTAGES.contains(&code)),
        DbError::RolledBack | DbError::Thread(_) | DbError::Closed => true,
        DbError::Strange(_) | DbError::Panicked(_) => false,
    }
}
