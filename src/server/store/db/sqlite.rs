//! SQLite engine: one thread that writes, connections that read, and a thread that checkpoints.
//!
//! The writer takes what waits in its queue into one transaction, commits it, and only then answers the callers. It never
//! waits for more: alone, a change is committed at once. WAL mode with `synchronous = NORMAL`: a commit survives a SIGKILL,
//! while a loss of power may take back the last ones.

mod checkpoints;
#[cfg(test)]
mod memory;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ffi, params_from_iter};
use tokio::sync::mpsc;

use super::group::{self, QUEUE, Queued};
use super::readers::{READERS, Readers, lock};
use super::{
    Argument, Connection as AnyConnection, DbError, DbRow, EngineRow, FromValue, OpenError, Reading, Transaction,
    Value, spawn,
};
use crate::server::store::changes::ChangeFeed;
use checkpoints::Checkpointer;
#[cfg(test)]
pub use memory::Memory;
use writer::Writer;

/// Number of statements that each connection keeps prepared.
const STATEMENTS: usize = 256;
/// Size in bytes to which the write-ahead log is cut when it begins anew: a peak does not keep the disk for ever.
const LOG_BYTES: i64 = 64 * 1024 * 1024;
/// Longest wait for SQLite's lock, which another program may hold.
const PATIENCE: Duration = Duration::from_secs(30);

/// Handle to the engine's threads and connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sqlite {
    changes: mpsc::Sender<Queued>,
    readers: Arc<Readers<Connection>>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Sqlite {
    pub fn open(path: &Path, steps: &[&str], feed: ChangeFeed) -> Result<Self, OpenError> {
        let connection = connect_writer(path)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(DbError::from)?;
        migrate(&connection, steps)?;
        let idle = (0..READERS).map(|_| connect_reader(path)).collect::<Result<_, _>>()?;
        let (changes, queue) = mpsc::channel(QUEUE);
        let (checkpointer, checkpoints) = Checkpointer::start(path)?;
        let writer = Writer::new(path, feed, checkpointer);
        let writer = spawn("store writer", move || writer.work(connection, queue))?;
        Ok(Self { changes, readers: Readers::new(idle), threads: Arc::new(Mutex::new(vec![writer, checkpoints])) })
    }

    pub async fn change<T, E>(
        &self,
        change: impl FnMut(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        group::queue(&self.changes, change).await
    }

    pub async fn read<T, E>(&self, read: impl FnOnce(&Reading<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let reader = self.readers.lend().await?;
        // The reader goes along, since the caller may go away meanwhile.
        let reading = tokio::task::spawn_blocking(move || read_consistently(&reader, read));
        // A runtime that shuts down runs no new blocking task.
        reading.await.map_err(|_| DbError::Closed)?
    }

    pub async fn read_short<T, E: From<DbError>>(
        &self,
        read: impl FnOnce(&Reading<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        read_consistently(&*self.readers.lend().await?, read)
    }

    pub async fn close(&self) {
        // The last connection to close writes the log into the file.
        self.readers.close().await;
        // Queued behind what waits, so that all of it is finished first.
        let _ = self.changes.send(Queued::Close).await;
        let threads = std::mem::take(&mut *lock(&self.threads));
        let joined = move || threads.into_iter().for_each(|thread| drop(thread.join()));
        let _ = tokio::task::spawn_blocking(joined).await;
    }
}

fn connect(path: &Path) -> Result<Connection, DbError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Otherwise SQLite prepares a statement again whenever other values are bound to it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Connects for the writer, whose commits only count the frames of the log, and never copy them.
fn connect_writer(path: &Path) -> Result<Connection, DbError> {
    let mut connection = connect(path)?;
    Checkpointer::watch(&mut connection)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    Ok(connection)
}

fn connect_reader(path: &Path) -> Result<Connection, DbError> {
    let connection = connect(path)?;
    // A write through a reader fails, rather than contend with the writer.
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Applies the steps that the file lacks.
pub fn migrate(connection: &Connection, steps: &[&str]) -> Result<(), OpenError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(DbError::from)?;
    let known = steps.len();
    // No version of this program is negative; such a one counts as later than all, so that the file is refused.
    let from = usize::try_from(found).unwrap_or(usize::MAX);
    if from > known {
        return Err(OpenError::Newer { found, known });
    }
    for (step, schema) in steps.iter().enumerate().skip(from) {
        // A step and its version number are one transaction: a crash leaves a file from which the next start goes on.
        let batch = format!("BEGIN; {schema} PRAGMA user_version = {}; COMMIT;", step + 1);
        connection.execute_batch(&batch).map_err(DbError::from)?;
    }
    Ok(())
}

/// Executes a statement that has no rows, and is kept prepared.
fn run(connection: &Connection, sql: &str) -> Result<(), DbError> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Runs a closure that reads, in a transaction, so that all of its queries see one state.
fn read_consistently<T, E: From<DbError>>(
    connection: &Connection,
    read: impl FnOnce(&Reading<'_>) -> Result<T, E>,
) -> Result<T, E> {
    run(connection, "BEGIN")?;
    let reading = Reading { connection: AnyConnection::Sqlite(connection) };
    let outcome = group::without_panic(|| read(&reading));
    // A read has nothing to lose; a transaction that SQLite ended by itself is none to roll back.
    let _ = run(connection, "ROLLBACK");
    outcome
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

pub fn each<E: From<DbError>>(
    connection: &Connection,
    sql: &str,
    arguments: &[&dyn Argument],
    mut read: impl FnMut(&DbRow<'_>) -> Result<bool, E>,
) -> Result<(), E> {
    let mut statement = connection.prepare_cached(sql).map_err(DbError::from)?;
    let values = params_from_iter(arguments.iter().map(|argument| argument.value()));
    let mut rows = statement.query(values).map_err(DbError::from)?;
    while let Some(row) = rows.next().map_err(DbError::from)? {
        if !read(&DbRow { row: EngineRow::Sqlite(row) })? {
            break;
        }
    }
    Ok(())
}

pub fn execute(connection: &Connection, sql: &str, arguments: &[&dyn Argument]) -> Result<u64, DbError> {
    // After SQLite rolled back by itself, the statement would be committed at once, whatever becomes of the change.
    if connection.is_autocommit() {
        return Err(DbError::RolledBack);
    }
    let mut statement = connection.prepare_cached(sql)?;
    let changed = statement.execute(params_from_iter(arguments.iter().map(|argument| argument.value())))?;
    Ok(changed as u64)
}

pub fn column<T: FromValue>(row: &rusqlite::Row<'_>, index: usize, name: &str) -> Result<T, DbError> {
    let strange = || DbError::Strange(name.to_owned());
    let value = match row.get_ref(index)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Text(text) => Value::Text(std::str::from_utf8(text).map_err(|_| strange())?),
        ValueRef::Blob(bytes) => Value::Bytes(bytes),
        ValueRef::Real(_) => return Err(strange()),
    };
    T::from_value(value).ok_or_else(strange)
}

pub fn text<'r>(row: &'r rusqlite::Row<'_>, name: &str) -> Result<&'r str, DbError> {
    let text = row.get_ref(name)?.as_str();
    text.map_err(|_| DbError::Strange(name.to_owned()))
}

pub fn is_unique_violation(error: &rusqlite::Error) -> bool {
    const UNIQUE: [i32; 2] = [ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_CONSTRAINT_PRIMARYKEY];
    error.sqlite_error().is_some_and(|code| UNIQUE.contains(&code.extended_code))
}

pub fn is_foreign_key_violation(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|code| code.extended_code == ffi::SQLITE_CONSTRAINT_FOREIGNKEY)
}
