//! Outbox: one SQLite file with one writer, a thread that commits many changes at a time.
//!
//! Changes that arrive while a commit is under way share the next one. A change is answered when it is on disk as far
//! as [`Durability`] asks: it then survives the death of any process, or loss of power as well.

mod file_error;
mod known_runs;
mod request_queue;
mod rows;
mod store;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};

use super::Durability;
use super::outbox_entry::{DeadLetter, KillEntry, OutboxEntry, RunOrigin, ToldExtent};
use crate::run::{Attempt, KillId, RunId, chain_of};
use file_error::{OutboxFileError, StoreTrouble};
use known_runs::KnownRuns;
use writer::WriteRequest;

pub use rows::{LETTERS_KEPT, LETTERS_KEPT_FOR};

#[cfg(test)]
mod tests;

/// Most changes that may wait for the writer.
const QUEUE: usize = 1024;

/// Error of the outbox.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The file cannot be opened.
    #[error("the outbox {path} cannot be opened")]
    Open {
        /// Path of the outbox's file.
        path: String,
        /// Error of SQLite or the system.
        #[source]
        source: OutboxFileError,
    },
    /// The file was written by a later version of this program.
    #[error("the outbox {path} has version {found}; this program reads up to {known}")]
    Newer {
        /// Path of the outbox's file.
        path: String,
        /// Version of the file's schema.
        found: i64,
        /// Latest schema version that this program knows.
        known: usize,
    },
    /// The file belongs to another server.
    #[error("the state directory belongs to {found}, not to {wanted}")]
    OtherServer {
        /// Address of the server to which the file belongs.
        found: String,
        /// Address of the configured server.
        wanted: String,
    },
    /// A run of this key was accepted before and is not forgotten.
    #[error("there is a run of {0} already")]
    KnownKey(String),
    /// The file cannot be read.
    #[error("the outbox cannot be read")]
    Read(#[source] OutboxFileError),
    /// The file's content is not as SQLite wrote it.
    #[error("the outbox is damaged: {0}")]
    Damaged(String),
    /// The file cannot be written, most likely for want of space.
    #[error("the outbox cannot be written")]
    Write(#[source] OutboxFileError),
    /// The last change failed, and so this one was not tried; the text is the reason of that failure.
    #[error("{0}")]
    Unwritable(String),
    /// The writer has ended, because no handle was left or because it panicked.
    #[error("the outbox is closed")]
    Closed,
}

impl OutboxError {
    fn trouble(&self) -> StoreTrouble {
        match self {
            Self::Open { source, .. } | Self::Read(source) | Self::Write(source) => source.trouble(),
            Self::Damaged(_) => StoreTrouble::Damaged,
            Self::Newer { .. } | Self::OtherServer { .. } | Self::KnownKey(_) | Self::Unwritable(_) | Self::Closed => {
                StoreTrouble::Other
            }
        }
    }

    fn is_damage(&self) -> bool {
        self.trouble() == StoreTrouble::Damaged
    }

    /// Returns the reason in SQLite's words.
    fn cause(&self) -> String {
        match self {
            Self::Open { source, .. } | Self::Read(source) | Self::Write(source) => source.message(),
            Self::Damaged(what) => what.clone(),
            other => other.to_string(),
        }
    }

    /// Returns the error and its cause in one line.
    fn told(&self) -> String {
        match std::error::Error::source(self) {
            Some(_) => format!("{self}: {}", self.cause()),
            None => self.to_string(),
        }
    }
}

/// Location of an outbox, its owner, and its durability.
#[derive(Clone, Debug)]
pub struct OutboxLocation {
    /// Path of the outbox's file.
    pub path: PathBuf,
    /// Address of the server to which the outbox belongs.
    pub server: String,
    /// Event that must not lose a change once it is answered.
    pub durability: Durability,
    /// Bytes that should be free on the outbox's disk; the ballast is a share of them.
    pub reserve: u64,
}

impl OutboxLocation {
    /// Returns the path as messages show it.
    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// Makes the error of a file that cannot be opened.
    fn unopened(&self, source: impl Into<OutboxFileError>) -> OutboxError {
        OutboxError::Open { path: self.shown(), source: source.into() }
    }
}

/// Change of the outbox.
#[derive(Debug)]
enum Change {
    Run(Box<OutboxEntry>),
    /// Writes a run together with its origin.
    Accept(Box<(OutboxEntry, RunOrigin)>),
    Told(RunId, ToldExtent),
    ForgetRun(RunId),
    Kill(KillEntry),
    ForgetKill(KillId),
    Nothing,
    DeadLetter(DeadLetter),
    /// Removes all dead letters of a run.
    ForgetLetters(RunId),
    /// Removes the dead letters from before `since`.
    Letters {
        since: String,
    },
    Probe,
}

impl Change {
    /// Returns the word for log fields.
    fn word(&self) -> &'static str {
        match self {
            Self::Run(_) => "write_run",
            Self::Accept(_) => "accept_run",
            Self::Told(..) => "write_told",
            Self::ForgetRun(_) => "remove_run",
            Self::Kill(_) => "write_kill",
            Self::ForgetKill(_) => "remove_kill",
            Self::Nothing => "none",
            Self::DeadLetter(_) => "write_dead_letter",
            Self::ForgetLetters(_) | Self::Letters { .. } => "remove_dead_letters",
            Self::Probe => "probe",
        }
    }

    /// Returns the run that the change concerns.
    fn run(&self) -> Option<RunId> {
        match self {
            Self::Run(entry) => Some(entry.run),
            Self::Accept(accepted) => Some(accepted.0.run),
            Self::Kill(entry) => entry.run,
            Self::DeadLetter(letter) => Some(letter.run),
            Self::Told(run, _) | Self::ForgetRun(run) | Self::ForgetLetters(run) => Some(*run),
            Self::ForgetKill(_) | Self::Nothing | Self::Letters { .. } | Self::Probe => None,
        }
    }

    /// Returns the kill request that the change concerns.
    fn kill(&self) -> Option<KillId> {
        match self {
            Self::Kill(entry) => Some(entry.kill),
            Self::ForgetKill(kill) => Some(*kill),
            _ => None,
        }
    }
}

/// Handle of the outbox. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbox {
    writer: mpsc::Sender<WriteRequest>,
    known: Arc<Mutex<KnownRuns>>,
    wrong: watch::Receiver<Option<String>>,
}

/// Content of an outbox when it was opened.
#[derive(Debug, Default)]
pub struct OutboxContents {
    /// Runs, ordered by number.
    pub runs: Vec<OutboxEntry>,
    /// Kill requests, ordered by number.
    pub kills: Vec<KillEntry>,
    /// Dead letters, the oldest first.
    pub dead_letters: Vec<DeadLetter>,
    /// Origins of the runs whose numbers were minted here, ordered by number.
    pub origins: Vec<RunOrigin>,
    /// Highest number that was ever minted, 0 where none was.
    pub last_minted: i64,
}

impl Outbox {
    /// Opens the outbox of a server, and returns its content.
    ///
    /// # Errors
    /// If the file cannot be opened, read or, where it is damaged, replaced; if it is of a later version or of another
    /// server.
    pub async fn open(place: OutboxLocation) -> Result<(Self, OutboxContents), OutboxError> {
        let (wrong, watched) = watch::channel(None);
        let (writer, requests) = mpsc::channel(QUEUE);
        let mut found = writer::start(place, requests, wrong).await?;
        let outbox = Self { writer, known: Arc::new(Mutex::new(KnownRuns::of(&found))), wrong: watched };
        let since = crate::wire::time::sent(chrono::Utc::now() - LETTERS_KEPT_FOR);
        if found.dead_letters.iter().any(|letter| letter.at < since) {
            found.dead_letters.retain(|letter| letter.at >= since);
            // A failure does no harm: the next start tries again.
            let _ = outbox.change(Change::Letters { since }, false).await;
        }
        Ok((outbox, found))
    }

    /// Returns the reason why changes cannot be written, while there is one, with every change of it.
    #[must_use]
    pub fn wrong(&self) -> watch::Receiver<Option<String>> {
        self.wrong.clone()
    }

    /// Returns whether a run is in the outbox. Such a run is known to this worker, however far its delivery is.
    #[must_use]
    pub fn holds(&self, run: RunId) -> bool {
        self.known().holds(run)
    }

    /// Returns the run that was accepted under a key of the upstream, until it is forgotten.
    #[must_use]
    pub fn run_of(&self, key: &str) -> Option<RunId> {
        self.known().run_of(key)
    }

    /// Returns the origin of a run that the upstream knows by a key, until it is forgotten.
    #[must_use]
    pub fn origin(&self, run: RunId) -> Option<Arc<RunOrigin>> {
        self.known().origin(run)
    }

    /// Mints only numbers above `run` from now on: a record on disk has it, whose row is lost.
    pub fn mint_above(&self, run: RunId) {
        self.known().mint_above(run);
    }

    fn known(&self) -> MutexGuard<'_, KnownRuns> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Mints a number for the run that the upstream gave under this key, and writes the run and its work together. Gives up
    /// where they cannot be written: work that is not on disk is not accepted.
    ///
    /// # Errors
    /// If the run could not be written, or if there is a run of this key.
    pub async fn try_accept(&self, key: &str, work: String, token: String) -> Result<OutboxEntry, OutboxError> {
        let Some(run) = self.known().mint(key) else { return Err(OutboxError::KnownKey(key.to_owned())) };
        let entry = OutboxEntry {
            run,
            attempt: Attempt::FIRST,
            claim: None,
            losses: 0,
            token,
            run_log: None,
            start: None,
            end: None,
        };
        let origin = RunOrigin { run, key: key.to_owned(), work, told: ToldExtent::default() };
        let written = self.change(Change::Accept(Box::new((entry.clone(), origin.clone()))), false).await;
        match written {
            Ok(()) => self.known().insert_origin(origin),
            Err(_) => self.known().remove(run),
        }
        written.map(|()| entry)
    }

    /// Writes a run of the last process whose row is lost, under the key that its journal names. Its work is lost.
    ///
    /// # Errors
    /// If the run could not be written.
    pub async fn try_restore(&self, entry: &OutboxEntry, key: String) -> Result<(), OutboxError> {
        let origin = RunOrigin { run: entry.run, key, work: String::new(), told: ToldExtent::default() };
        // Known before it is written: the upstream may offer the run anew meanwhile.
        self.known().insert(entry.run);
        self.known().insert_origin(origin.clone());
        self.change(Change::Accept(Box::new((entry.clone(), origin))), false).await
    }

    /// Writes up to where the upstream has the output and the journal of a run, for as long as it takes.
    pub async fn told(&self, run: RunId, told: ToldExtent) {
        self.known().set_told(run, told);
        self.insist(Change::Told(run, told)).await;
    }

    /// Writes a run, and gives up where it cannot be written: a claim that is not on disk is not made.
    ///
    /// # Errors
    /// If the run could not be written.
    pub async fn try_run(&self, entry: &OutboxEntry) -> Result<(), OutboxError> {
        // The run counts as known already while the write is under way.
        let is_new = self.known().insert(entry.run);
        let written = self.change(Change::Run(Box::new(entry.clone())), false).await;
        if written.is_err() && is_new {
            self.known().remove(entry.run);
        }
        written
    }

    /// Writes a run, for as long as it takes.
    pub async fn run(&self, entry: &OutboxEntry) {
        self.known().insert(entry.run);
        self.insist(Change::Run(Box::new(entry.clone()))).await;
    }

    /// Removes a run, for as long as it takes.
    pub async fn forget_run(&self, run: RunId) {
        self.insist(Change::ForgetRun(run)).await;
        // Only now: until its row is gone, the run counts as known.
        self.known().remove(run);
    }

    /// Writes a kill request, and only logs a failure: the request is carried out even where it cannot be written.
    pub async fn try_kill(&self, entry: KillEntry) {
        if let Err(e) = self.change(Change::Kill(entry), false).await {
            tracing::error!(
                target: "job_runner_worker.outbox",
                kill = %entry.kill,
                run = entry.run.map(RunId::get),
                error = %chain_of(&e),
                "kill request is not written"
            );
        }
    }

    /// Removes a kill request, for as long as it takes.
    pub async fn forget_kill(&self, kill: KillId) {
        self.insist(Change::ForgetKill(kill)).await;
    }

    /// Writes a dead letter, for the operator to see.
    pub async fn dead_letter(&self, letter: DeadLetter) {
        self.insist(Change::DeadLetter(letter)).await;
    }

    /// Removes all dead letters of a run.
    pub async fn forget_letters(&self, run: RunId) {
        self.insist(Change::ForgetLetters(run)).await;
    }

    /// Waits until every earlier change is on disk.
    pub async fn settle(&self) {
        self.insist(Change::Nothing).await;
    }

    async fn insist(&self, change: Change) {
        let (kind, run, kill) = (change.word(), change.run(), change.kill());
        if let Err(e) = self.change(change, true).await {
            tracing::error!(
                target: "job_runner_worker.outbox",
                change = kind,
                run = run.map(RunId::get),
                kill = kill.map(KillId::get),
                error = %chain_of(&e),
                "change is not written"
            );
        }
    }

    async fn change(&self, change: Change, insist: bool) -> Result<(), OutboxError> {
        let (done, answer) = oneshot::channel();
        // The changes of all tasks that run now are sent together in the next turn, so that they share a commit.
        tokio::task::yield_now().await;
        self.writer.send(WriteRequest { change, insist, done }).await.map_err(|_| OutboxError::Closed)?;
        answer.await.map_err(|_| OutboxError::Closed)?
    }
}
