//! The store: one SQLite file, one writer, many changes a commit.
//!
//! Changes that arrive while a commit is under way share the next one. A change is answered when it is on disk as far
//! as [`Durability`] asks: no death of a process loses it, or no loss of power either.

mod batch;
mod rows;
mod store;
mod writer;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};

use super::Durability;
use super::ballast::Ballast;
use super::entry::{DeadLetter, KillEntry, OutboxEntry};
use crate::run::{KillId, RunId};
use store::{OutboxStore, StoreTrouble};
use writer::{OutboxWriter, WriteRequest};

pub use rows::{LETTERS_KEPT, LETTERS_KEPT_FOR};

#[cfg(test)]
mod tests;

/// How many changes may wait for the writer.
const QUEUE: usize = 1024;

/// What can be wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The file cannot be opened.
    #[error("the outbox {path} cannot be opened")]
    Open {
        /// Where it is.
        path: String,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// It was written by a later version.
    #[error("the outbox {path} has version {found}; this program reads up to {known}")]
    Newer {
        /// Where it is.
        path: String,
        /// Its version.
        found: i64,
        /// The last one we know.
        known: usize,
    },
    /// It belongs to another server.
    #[error("the state directory belongs to {found}, not to {wanted}")]
    OtherServer {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
    /// It cannot be read.
    #[error("the outbox cannot be read")]
    Read(#[source] sqlx::Error),
    /// Its file is not as SQLite wrote it.
    #[error("the outbox is damaged: {0}")]
    Damaged(String),
    /// It cannot be written, for want of room most likely.
    #[error("the outbox cannot be written")]
    Write(#[source] sqlx::Error),
    /// As the last change could not, neither can this one.
    #[error("{0}")]
    Unwritable(String),
    /// The writer is gone: we are leaving.
    #[error("the outbox is closed")]
    Closed,
}

impl OutboxError {
    fn trouble(&self) -> StoreTrouble {
        match self {
            Self::Open { source, .. } | Self::Read(source) | Self::Write(source) => store::trouble(source),
            Self::Damaged(_) => StoreTrouble::Damaged,
            Self::Newer { .. } | Self::OtherServer { .. } | Self::Unwritable(_) | Self::Closed => StoreTrouble::Other,
        }
    }

    fn is_damage(&self) -> bool {
        self.trouble() == StoreTrouble::Damaged
    }

    /// What SQLite says.
    fn cause(&self) -> String {
        match self {
            Self::Open { source, .. } | Self::Read(source) | Self::Write(source) => match source {
                sqlx::Error::Database(error) => error.message().to_owned(),
                other => other.to_string(),
            },
            Self::Damaged(what) => what.clone(),
            other => other.to_string(),
        }
    }

    /// With its cause, in one line.
    fn told(&self) -> String {
        match std::error::Error::source(self) {
            Some(_) => format!("{self}: {}", self.cause()),
            None => self.to_string(),
        }
    }
}

/// Where a store is, whose it is, and what it must survive.
#[derive(Clone, Debug)]
pub struct OutboxLocation {
    /// Its file.
    pub path: PathBuf,
    /// The server's address.
    pub server: String,
    /// What must not lose a change that was answered.
    pub durability: Durability,
    /// How many bytes should be free on its disk.
    pub reserve: u64,
}

/// A change.
#[derive(Debug)]
enum Change {
    Run(Box<OutboxEntry>),
    ForgetRun(RunId),
    Kill(KillEntry),
    ForgetKill(KillId),
    Nothing,
    DeadLetter(DeadLetter),
    /// Nothing of this run is a dead letter any more.
    ForgetLetters(RunId),
    /// Of the dead letters, only those since then are kept.
    Letters {
        since: String,
    },
    Probe,
}

/// The door to the store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbox {
    writer: mpsc::Sender<WriteRequest>,
    /// The runs that are in it, or about to be.
    held: Arc<Mutex<HashSet<RunId>>>,
    wrong: watch::Receiver<Option<String>>,
}

/// What a store held when it was opened.
#[derive(Debug, Default)]
pub struct OutboxContents {
    /// Runs.
    pub runs: Vec<OutboxEntry>,
    /// Kills.
    pub kills: Vec<KillEntry>,
    /// Facts that could not be delivered, the oldest first.
    pub dead_letters: Vec<DeadLetter>,
}

impl Outbox {
    /// Opens the store of a server, and says what is in it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn open(place: OutboxLocation) -> Result<(Self, OutboxContents), OutboxError> {
        let mut ballast = Ballast::new(place.path.parent().unwrap_or(Path::new(".")), place.reserve);
        let (store, mut found) = match OutboxStore::open(place.clone()).await {
            Err(error) if error.trouble() == StoreTrouble::NoRoom => {
                ballast.release();
                OutboxStore::open(place).await?
            }
            opened => opened?,
        };
        let (wrong, watched) = watch::channel(None);
        let (writer, requests) = mpsc::channel(QUEUE);
        tokio::spawn(OutboxWriter::new(store, ballast, wrong).write(requests));
        let held = found.runs.iter().map(|entry| entry.run).collect();
        let outbox = Self { writer, held: Arc::new(Mutex::new(held)), wrong: watched };
        let since = crate::wire::time::sent(chrono::Utc::now() - LETTERS_KEPT_FOR);
        if found.dead_letters.iter().any(|letter| letter.at < since) {
            found.dead_letters.retain(|letter| letter.at >= since);
            let _ = outbox.change(Change::Letters { since }, false).await;
        }
        Ok((outbox, found))
    }

    /// What keeps changes from being written, while something does.
    #[must_use]
    pub fn wrong(&self) -> watch::Receiver<Option<String>> {
        self.wrong.clone()
    }

    /// Whether a run is in it: what is on disk is known, whatever became of its telling.
    #[must_use]
    pub fn holds(&self, run: RunId) -> bool {
        self.held().contains(&run)
    }

    fn held(&self) -> MutexGuard<'_, HashSet<RunId>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a run, once: a claim that cannot be remembered is not made.
    ///
    /// # Errors
    /// Why it was not written.
    pub async fn try_run(&self, entry: &OutboxEntry) -> Result<(), OutboxError> {
        let is_new = self.held().insert(entry.run);
        let written = self.change(Change::Run(Box::new(entry.clone())), false).await;
        if written.is_err() && is_new {
            self.held().remove(&entry.run);
        }
        written
    }

    /// Writes a run, for as long as it takes.
    pub async fn run(&self, entry: &OutboxEntry) {
        self.held().insert(entry.run);
        self.insist(Change::Run(Box::new(entry.clone()))).await;
    }

    /// Removes a run.
    pub async fn forget_run(&self, run: RunId) {
        self.insist(Change::ForgetRun(run)).await;
        self.held().remove(&run);
    }

    /// Writes a kill, once: it is followed all the same where it cannot be written.
    pub async fn try_kill(&self, entry: KillEntry) {
        if let Err(e) = self.change(Change::Kill(entry), false).await {
            tracing::error!(target: "job_runner_worker.outbox", "kill request {}: {e}", entry.kill);
        }
    }

    /// Removes a kill.
    pub async fn forget_kill(&self, kill: KillId) {
        self.insist(Change::ForgetKill(kill)).await;
    }

    /// Keeps what could not be delivered, with the reason, for people to see.
    pub async fn dead_letter(&self, letter: DeadLetter) {
        self.insist(Change::DeadLetter(letter)).await;
    }

    /// Removes the dead letters of a run.
    pub async fn forget_letters(&self, run: RunId) {
        self.insist(Change::ForgetLetters(run)).await;
    }

    /// Waits until everything that was said before is on disk.
    pub async fn settle(&self) {
        self.insist(Change::Nothing).await;
    }

    async fn insist(&self, change: Change) {
        if let Err(e) = self.change(change, true).await {
            tracing::error!(target: "job_runner_worker.outbox", "{e}");
        }
    }

    async fn change(&self, change: Change, insist: bool) -> Result<(), OutboxError> {
        let (done, answer) = oneshot::channel();
        self.writer.send(WriteRequest { change, insist, done }).await.map_err(|_| OutboxError::Closed)?;
        answer.await.map_err(|_| OutboxError::Closed)?
    }
}
