//! The store: one SQLite file, one writer, many changes a commit.
//!
//! Changes that arrive while a commit is under way share the next one. A change is answered when it is
//! on disk as far as `synchronous = NORMAL` goes: no death of a process loses it.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{Connection, Row};
use tokio::sync::{mpsc, oneshot};

use super::entry::{End, Entry, KillEntry, KillPhase, Start};
use crate::run::{Attempt, KillId, RunId};
use crate::wire::disk::How;

#[cfg(test)]
mod tests;

/// How many changes may wait for the writer.
const QUEUE: usize = 1024;
/// How many changes one commit takes at most.
const BATCH: usize = 256;
/// How long a commit that failed waits to be tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// The schema, one step a version; a file of any earlier version is brought forward.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE binding (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE run (
        run INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, losses INTEGER NOT NULL, token TEXT NOT NULL,
        run_log TEXT, start_pid INTEGER, start_at TEXT,
        end_how TEXT, end_output INTEGER, end_at TEXT
    ) STRICT;
    CREATE TABLE kill (kill INTEGER PRIMARY KEY, run INTEGER, phase TEXT NOT NULL) STRICT;
    CREATE TABLE dead_letter (
        id INTEGER PRIMARY KEY, at TEXT NOT NULL, run INTEGER NOT NULL, what TEXT NOT NULL, reason TEXT NOT NULL
    ) STRICT;
"];

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
    /// It cannot be written, a full disk most likely.
    #[error("the outbox cannot be written: {0}")]
    Write(String),
    /// The writer is gone: we are leaving.
    #[error("the outbox is closed")]
    Closed,
}

/// A change.
#[derive(Debug)]
enum Change {
    Run(Box<Entry>),
    ForgetRun(RunId),
    Kill(KillEntry),
    ForgetKill(KillId),
    Nothing,
    DeadLetter { at: String, run: RunId, what: &'static str, reason: String },
}

struct Request {
    change: Change,
    /// Whether it is tried until it succeeds.
    insist: bool,
    done: oneshot::Sender<Result<(), OutboxError>>,
}

/// The door to the store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbox {
    writer: mpsc::Sender<Request>,
}

/// What a store held when it was opened.
#[derive(Debug, Default)]
pub struct Found {
    /// Runs.
    pub runs: Vec<Entry>,
    /// Kills.
    pub kills: Vec<KillEntry>,
    /// How many facts could not be delivered by now.
    pub dead_letters: u64,
}

impl Outbox {
    /// Opens the store of a server, and says what is in it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn open(path: &Path, server: &str) -> Result<(Self, Found), OutboxError> {
        let shown = path.display().to_string();
        let opened = |source| OutboxError::Open { path: shown.clone(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("cache_size", "-512")
            .statement_cache_capacity(32);
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(opened)?;
        migrate(&mut connection, &shown).await?;
        bind(&mut connection, server).await?;
        let found = read(&mut connection).await.map_err(OutboxError::Read)?;
        let (writer, requests) = mpsc::channel(QUEUE);
        tokio::spawn(write(connection, requests));
        Ok((Self { writer }, found))
    }

    /// Writes a run, once: a claim that cannot be remembered is not made.
    ///
    /// # Errors
    /// Why it was not written.
    pub async fn try_run(&self, entry: &Entry) -> Result<(), OutboxError> {
        self.change(Change::Run(Box::new(entry.clone())), false).await
    }

    /// Writes a run, for as long as it takes.
    pub async fn run(&self, entry: &Entry) {
        self.insist(Change::Run(Box::new(entry.clone()))).await;
    }

    /// Removes a run.
    pub async fn forget_run(&self, run: RunId) {
        self.insist(Change::ForgetRun(run)).await;
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
    pub async fn dead_letter(&self, at: String, run: RunId, what: &'static str, reason: String) {
        self.insist(Change::DeadLetter { at, run, what, reason }).await;
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
        self.writer.send(Request { change, insist, done }).await.map_err(|_| OutboxError::Closed)?;
        answer.await.map_err(|_| OutboxError::Closed)?
    }
}

/// The writer: takes what is there, commits it, answers.
async fn write(mut connection: SqliteConnection, mut requests: mpsc::Receiver<Request>) {
    let mut batch = Vec::with_capacity(BATCH);
    while requests.recv_many(&mut batch, BATCH).await > 0 {
        crash_point!(OutboxNext);
        while let Err(e) = commit(&mut connection, &batch).await {
            let (stay, go): (Vec<_>, Vec<_>) = batch.drain(..).partition(|request| request.insist);
            for request in go {
                let _ = request.done.send(Err(OutboxError::Write(e.to_string())));
            }
            batch = stay;
            if batch.is_empty() {
                break;
            }
            tracing::error!(target: "job_runner_worker.outbox", "the outbox cannot be written, trying again: {e}");
            tokio::time::sleep(PAUSE).await;
        }
        crash_point!(OutboxCommitted);
        for request in batch.drain(..) {
            let _ = request.done.send(Ok(()));
        }
    }
    let _ = connection.close().await;
}

async fn commit(connection: &mut SqliteConnection, batch: &[Request]) -> Result<(), sqlx::Error> {
    if let [only] = batch {
        return apply(connection, &only.change).await;
    }
    let mut transaction = connection.begin().await?;
    for request in batch {
        apply(&mut transaction, &request.change).await?;
    }
    transaction.commit().await
}

async fn apply(connection: &mut SqliteConnection, change: &Change) -> Result<(), sqlx::Error> {
    let query = match change {
        Change::Nothing => return Ok(()),
        Change::Run(entry) => {
            let end = entry.end.as_ref();
            sqlx::query("INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
                .bind(entry.run.get())
                .bind(i64::from(entry.attempt.0))
                .bind(i64::from(entry.losses))
                .bind(&entry.token)
                .bind(&entry.run_log)
                .bind(entry.start.as_ref().map(|start| i64::from(start.pid)))
                .bind(entry.start.as_ref().map(|start| start.at.clone()))
                .bind(end.map(|end| serde_json::to_string(&How::from(&end.outcome)).unwrap_or_default()))
                .bind(end.map(|end| i64::try_from(end.output).unwrap_or(i64::MAX)))
                .bind(end.map(|end| end.at.clone()))
        }
        Change::ForgetRun(run) => sqlx::query("DELETE FROM run WHERE run = ?").bind(run.get()),
        Change::Kill(entry) => sqlx::query("INSERT OR REPLACE INTO kill VALUES (?, ?, ?)")
            .bind(entry.kill.get())
            .bind(entry.run.map(RunId::get))
            .bind(kill_phase_name(entry.phase)),
        Change::ForgetKill(kill) => sqlx::query("DELETE FROM kill WHERE kill = ?").bind(kill.get()),
        Change::DeadLetter { at, run, what, reason } => {
            sqlx::query("INSERT INTO dead_letter (at, run, what, reason) VALUES (?, ?, ?, ?)")
                .bind(at)
                .bind(run.get())
                .bind(*what)
                .bind(reason)
        }
    };
    query.execute(connection).await.map(drop)
}

async fn migrate(connection: &mut SqliteConnection, path: &str) -> Result<(), OutboxError> {
    let opened = |source| OutboxError::Open { path: path.to_owned(), source };
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await.map_err(opened)?;
    let from = usize::try_from(version).unwrap_or(usize::MAX);
    if from > MIGRATIONS.len() {
        return Err(OutboxError::Newer { path: path.to_owned(), found: version, known: MIGRATIONS.len() });
    }
    for (step, schema) in MIGRATIONS.iter().enumerate().skip(from) {
        let batch = format!("BEGIN; {schema} PRAGMA user_version = {}; COMMIT;", step + 1);
        sqlx::raw_sql(sqlx::AssertSqlSafe(batch)).execute(&mut *connection).await.map_err(opened)?;
    }
    Ok(())
}

/// A state directory belongs to one server: run 12 of another is another run.
async fn bind(connection: &mut SqliteConnection, server: &str) -> Result<(), OutboxError> {
    let found: Option<String> = sqlx::query_scalar("SELECT value FROM binding WHERE name = 'api_base_url'")
        .fetch_optional(&mut *connection)
        .await
        .map_err(OutboxError::Read)?;
    match found {
        Some(found) if found != server => Err(OutboxError::OtherServer { found, wanted: server.to_owned() }),
        Some(_) => Ok(()),
        None => sqlx::query("INSERT INTO binding VALUES ('api_base_url', ?)")
            .bind(server)
            .execute(connection)
            .await
            .map(drop)
            .map_err(OutboxError::Read),
    }
}

async fn read(connection: &mut SqliteConnection) -> Result<Found, sqlx::Error> {
    let runs = sqlx::query("SELECT * FROM run ORDER BY run").fetch_all(&mut *connection).await?;
    let kills = sqlx::query("SELECT * FROM kill ORDER BY kill").fetch_all(&mut *connection).await?;
    let dead: i64 = sqlx::query_scalar("SELECT count(*) FROM dead_letter").fetch_one(&mut *connection).await?;
    Ok(Found {
        runs: runs.iter().filter_map(entry).collect(),
        kills: kills.iter().filter_map(kill_entry).collect(),
        dead_letters: u64::try_from(dead).unwrap_or_default(),
    })
}

fn entry(row: &SqliteRow) -> Option<Entry> {
    let start = match (row.get::<Option<i64>, _>("start_pid"), row.get::<Option<String>, _>("start_at")) {
        (Some(pid), Some(at)) => Some(Start { pid: i32::try_from(pid).ok()?, at }),
        _ => None,
    };
    let end = match (row.get::<Option<String>, _>("end_how"), row.get::<Option<String>, _>("end_at")) {
        (Some(how), Some(at)) => Some(End {
            outcome: serde_json::from_str::<How>(&how).ok()?.into(),
            output: u64::try_from(row.get::<Option<i64>, _>("end_output").unwrap_or_default()).unwrap_or_default(),
            at,
        }),
        _ => None,
    };
    Some(Entry {
        run: RunId::new(row.get("run"))?,
        attempt: Attempt(u32::try_from(row.get::<i64, _>("attempt")).ok()?),
        losses: u32::try_from(row.get::<i64, _>("losses")).ok()?,
        token: row.get("token"),
        run_log: row.get("run_log"),
        start,
        end,
    })
}

fn kill_entry(row: &SqliteRow) -> Option<KillEntry> {
    Some(KillEntry {
        kill: KillId::new(row.get("kill"))?,
        run: row.get::<Option<i64>, _>("run").and_then(RunId::new),
        phase: match row.get("phase") {
            "received" => KillPhase::Received,
            "taken" => KillPhase::Taken,
            "dead" => KillPhase::Dead,
            _ => return None,
        },
    })
}

fn kill_phase_name(phase: KillPhase) -> &'static str {
    match phase {
        KillPhase::Received => "received",
        KillPhase::Taken => "taken",
        KillPhase::Dead => "dead",
    }
}
