//! File of the outbox: opens and checks it, sets it aside where it is damaged, and begins a new one.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::{Change, OutboxContents, OutboxError, OutboxLocation, rows};
use crate::report::Durability;

/// Size in bytes to which the write-ahead log is cut when its content is in the file.
const LOG_BYTES: &str = "1048576";
/// Suffixes of the files that make up one SQLite database.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// Meaning of an error for the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreTrouble {
    /// The disk is full, or the system cannot write for another reason.
    NoRoom,
    /// The file is damaged, or is no outbox at all.
    Damaged,
    /// Any other error, which a retry may overcome.
    Other,
}

/// Classifies an error of SQLite.
pub fn trouble(error: &sqlx::Error) -> StoreTrouble {
    // Primary result codes of SQLite; extended codes have further information in their upper bytes.
    const IOERR: i32 = 10;
    const CORRUPT: i32 = 11;
    const FULL: i32 = 13;
    const CANTOPEN: i32 = 14;
    const NOTADB: i32 = 26;
    let code = error.as_database_error().and_then(|e| e.code()).and_then(|code| code.parse::<i32>().ok());
    match code.map(|code| code & 0xff) {
        Some(FULL | IOERR | CANTOPEN) => StoreTrouble::NoRoom,
        Some(CORRUPT | NOTADB) => StoreTrouble::Damaged,
        _ => StoreTrouble::Other,
    }
}

/// Outbox file that is open, or was set aside and is to be replaced.
pub struct OutboxStore {
    place: OutboxLocation,
    /// Connection to the file; `None` where a damaged file was set aside and the next one is not created yet.
    connection: Option<SqliteConnection>,
}

impl OutboxStore {
    /// Opens the file and reads it. A damaged file is set aside, and a new one created.
    pub async fn open(place: OutboxLocation) -> Result<(Self, OutboxContents), OutboxError> {
        let (connection, found) = match open(&place).await {
            Err(error) if error.is_damage() => {
                set_aside(&place.path, &error)?;
                open(&place).await?
            }
            opened => opened?,
        };
        Ok((Self { place, connection: Some(connection) }, found))
    }

    /// Writes all changes or none. Begins a new file where the last one was set aside.
    pub async fn commit(&mut self, changes: &[&Change]) -> Result<(), OutboxError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(open(&self.place).await?.0),
        };
        rows::commit(connection, changes).await.map_err(OutboxError::Write)
    }

    /// Carries the write-ahead log into the file, and gives the log's space back to the disk.
    pub async fn shrink(&mut self) {
        if let Some(connection) = &mut self.connection {
            let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await;
        }
    }

    /// Sets the file aside; the next commit begins a new one.
    pub async fn begin_anew(&mut self, why: &OutboxError) -> Result<(), OutboxError> {
        // Closed first: closing removes the write-ahead log by its name, which the new file's log would have too.
        self.close().await;
        set_aside(&self.place.path, why)
    }

    pub async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = connection.close().await;
        }
    }
}

async fn open(place: &OutboxLocation) -> Result<(SqliteConnection, OutboxContents), OutboxError> {
    let shown = place.path.display().to_string();
    let opened = |source| OutboxError::Open { path: shown.clone(), source };
    let synchronous = match place.durability {
        Durability::Process => SqliteSynchronous::Normal,
        Durability::Power => SqliteSynchronous::Full,
    };
    let mut connection = SqliteConnectOptions::new()
        .filename(&place.path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        // Negative means KiB. Rows are written and hardly ever read again, so a small cache is enough.
        .pragma("cache_size", "-512")
        .pragma("journal_size_limit", LOG_BYTES)
        .statement_cache_capacity(32)
        .connect()
        .await
        .map_err(opened)?;
    match look_through(&mut connection, place, &shown).await {
        Ok(found) => Ok((connection, found)),
        Err(error) => {
            // Closed before the caller sets the file aside, because closing removes the write-ahead log by its name.
            let _ = connection.close().await;
            Err(error)
        }
    }
}

async fn look_through(
    connection: &mut SqliteConnection,
    place: &OutboxLocation,
    shown: &str,
) -> Result<OutboxContents, OutboxError> {
    let sound: String =
        sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut *connection).await.map_err(OutboxError::Read)?;
    if sound != "ok" {
        return Err(OutboxError::Damaged(sound.replace('\n', " ")));
    }
    rows::migrate(connection, shown).await?;
    rows::bind(connection, &place.server).await?;
    let found = rows::read(connection).await.map_err(OutboxError::Read)?;
    if place.durability == Durability::Power {
        sync_directory(&place.path).map_err(|e| OutboxError::Open { path: shown.to_owned(), source: e.into() })?;
    }
    Ok(found)
}

/// Renames the files of a damaged outbox, so that an operator can examine them.
fn set_aside(path: &Path, why: &OutboxError) -> Result<(), OutboxError> {
    let at = chrono::Utc::now().format("%Y%m%dT%H%M%S%.3fZ");
    let aside = with_suffix(path, &format!(".corrupt-{at}"));
    for part in PARTS {
        match std::fs::rename(with_suffix(path, part), with_suffix(&aside, part)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(OutboxError::Open { path: path.display().to_string(), source: e.into() });
            }
            _ => {}
        }
    }
    tracing::error!(
        target: "job_runner_worker.outbox",
        path = %aside.display(),
        error = why.cause(),
        "outbox is damaged and set aside; a new one is made from the records of the runs, and kill requests that were under \
         way have to be made again"
    );
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Syncs the directory of a file: only then does the file's name survive a loss of power.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(path))?.sync_all()
}
