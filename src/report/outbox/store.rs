//! File of the outbox: opens and checks it, sets it aside where it is damaged, and begins a new one.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{Change, OutboxContents, OutboxError, OutboxLocation, rows};
use crate::report::Durability;

/// Size in bytes to which the write-ahead log is cut when its content is in the file.
const LOG_BYTES: u32 = 1_048_576;
/// Cache of a connection in KiB: rows are written and hardly ever read again, so a small one is enough.
const CACHE_KIB: u32 = 512;
/// Statements that a connection keeps prepared: more than there are.
const STATEMENTS: usize = 32;
/// Longest wait for the lock on the file, which an operator's program may hold.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Suffixes of the files that make up one SQLite database.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// Outbox file that is open, or was set aside and is to be replaced. Its calls block.
pub struct OutboxStore {
    place: OutboxLocation,
    /// Connection to the file; `None` where a damaged file was set aside and the next one is not created yet.
    connection: Option<Connection>,
}

impl OutboxStore {
    /// Opens the file and reads it. A damaged file is set aside, and a new one created.
    pub fn open(place: OutboxLocation) -> Result<(Self, OutboxContents), OutboxError> {
        let (connection, found) = match open(&place) {
            Err(error) if error.is_damage() => {
                set_aside(&place, &error)?;
                open(&place)?
            }
            opened => opened?,
        };
        Ok((Self { place, connection: Some(connection) }, found))
    }

    /// Writes all changes or none. Begins a new file where the last one was set aside.
    pub fn commit(&mut self, changes: &[&Change]) -> Result<(), OutboxError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(open(&self.place)?.0),
        };
        rows::commit(connection, changes).map_err(|e| OutboxError::Write(e.into()))
    }

    /// Carries the write-ahead log into the file, and gives the log's space back to the disk.
    pub fn shrink(&self) {
        if let Some(connection) = &self.connection {
            let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        }
    }

    /// Sets the file aside; the next commit begins a new one.
    pub fn begin_anew(&mut self, why: &OutboxError) -> Result<(), OutboxError> {
        // Closed first: closing removes the write-ahead log by its name, which the new file's log would have too.
        self.connection = None;
        set_aside(&self.place, why)
    }
}

/// Opens the file and reads it. After an error the file is closed, so that the caller can set it aside: closing removes
/// the write-ahead log by its name.
fn open(place: &OutboxLocation) -> Result<(Connection, OutboxContents), OutboxError> {
    let connection = connect(place).map_err(|e| place.unopened(e))?;
    let found = look_through(&connection, place)?;
    Ok((connection, found))
}

fn connect(place: &OutboxLocation) -> rusqlite::Result<Connection> {
    let synchronous = match place.durability {
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    };
    // No mutex: the connection belongs to one thread.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&place.path, flags)?;
    connection.busy_timeout(LOCK_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // A negative size of the cache means KiB, a positive one pages.
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA cache_size = -{CACHE_KIB}; \
         PRAGMA journal_size_limit = {LOG_BYTES};"
    ))?;
    Ok(connection)
}

fn look_through(connection: &Connection, place: &OutboxLocation) -> Result<OutboxContents, OutboxError> {
    let read = |e: rusqlite::Error| OutboxError::Read(e.into());
    let sound: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(read)?;
    if sound != "ok" {
        return Err(OutboxError::Damaged(sound.replace('\n', " ")));
    }
    rows::migrate(connection, place)?;
    rows::bind(connection, &place.server)?;
    let found = rows::read(connection).map_err(read)?;
    if place.durability == Durability::Power {
        sync_directory(&place.path).map_err(|e| place.unopened(e))?;
    }
    Ok(found)
}

/// Renames the files of a damaged outbox, so that an operator can examine them.
fn set_aside(place: &OutboxLocation, why: &OutboxError) -> Result<(), OutboxError> {
    let at = chrono::Utc::now().format("%Y%m%dT%H%M%S%.3fZ");
    let aside = with_suffix(&place.path, &format!(".corrupt-{at}"));
    for part in PARTS {
        match std::fs::rename(with_suffix(&place.path, part), with_suffix(&aside, part)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(place.unopened(e)),
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
