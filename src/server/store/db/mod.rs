//! Database seam: runs synchronous closures in transactions, on threads of their own. The rest of the store says SQL, and
//! cannot hold a transaction open across anything but the database.
//!
//! *Told only what is committed*: a change is answered, and what it publishes is published, after the commit that made it
//! true. Changes that wait at the same time share one commit, and one that fails takes nothing of the others with it: in
//! SQLite each has a savepoint of its own, in PostgreSQL the others are run again.
//!
//! The engines are a closed set: an enum, and no trait.

mod group;
pub(in crate::server::store) mod nul;
mod postgres;
mod readers;
mod sqlite;
mod statement;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use chrono::Utc;
use tokio::sync::broadcast;

use super::changes::{Change, ChangeFeed};
#[cfg(test)]
pub(in crate::server::store) use postgres::rewrite;
pub(in crate::server::store) use postgres::{Bulk, CopyOut, DatabaseSession, column};
pub use postgres::{MISSED, UrlError};
pub use readers::READERS;
pub(in crate::server::store) use sqlite::migrate as migrate_sqlite;
pub use statement::Statement;
#[cfg(test)]
pub(in crate::server::store) use tests::TestDatabase;
pub use value::{Argument, FromValue, Value};

/// Errors of the database.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DbError {
    /// SQLite refused a statement, or could not execute it.
    #[error(transparent)]
    Sqlite(#[from] Arc<rusqlite::Error>),
    /// PostgreSQL cannot be reached, or refused a statement.
    #[error(transparent)]
    Postgres(#[from] Arc<postgres::Failure>),
    /// A row or column is not as this program writes it; the name of the column or thing.
    #[error("{0} in the store is not what was written there")]
    Strange(String),
    /// A thread of the engine cannot be started.
    #[error("a thread of the store cannot be started")]
    Thread(#[source] Arc<std::io::Error>),
    /// The closure panicked; nothing that it wrote was kept.
    #[error("the operation on the store panicked: {0}")]
    Panicked(String),
    /// The transaction was lost in the middle: the database rolled it back by itself.
    #[error("the store rolled the change back by itself")]
    RolledBack,
    /// The database is closed, because the server stops.
    #[error("the store is closed")]
    Closed,
}

impl DbError {
    /// Returns whether a statement was refused because a value that must be unique exists already.
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        match self {
            Self::Sqlite(refusal) => sqlite::is_unique_violation(refusal),
            Self::Postgres(failure) => failure.is_unique_violation(),
            _ => false,
        }
    }

    /// Returns whether a statement was refused because it refers to a row that does not exist.
    #[must_use]
    pub fn is_foreign_key_violation(&self) -> bool {
        match self {
            Self::Sqlite(refusal) => sqlite::is_foreign_key_violation(refusal),
            Self::Postgres(failure) => failure.is_foreign_key_violation(),
            _ => false,
        }
    }

    /// Returns whether another session held a lock for longer than this one waits.
    pub(in crate::server::store) fn is_lock_timeout(&self) -> bool {
        matches!(self, Self::Postgres(failure) if failure.is_lock_timeout())
    }

    /// Returns whether the connection to the database is lost, and with it the transaction.
    pub(in crate::server::store) fn is_lost(&self) -> bool {
        matches!(self, Self::Postgres(failure) if failure.is_lost())
    }
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Arc::new(error))
    }
}

impl From<postgres::Failure> for DbError {
    fn from(failure: postgres::Failure) -> Self {
        Self::Postgres(Arc::new(failure))
    }
}

/// Errors of opening a database.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL of the database is wrong.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The database was written by a later version of the program.
    #[error("it has version {found}; this program reads up to {known}")]
    Newer {
        /// Version of the database.
        found: i64,
        /// Latest version that this program reads.
        known: usize,
    },
    /// It cannot be opened, or a migration step failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A step of PostgreSQL's schema, from one version to the next.
#[derive(Clone, Copy, Debug)]
pub struct SchemaStep<'a> {
    /// Statements of the step.
    pub sql: &'a str,
    /// Earliest version of the program, by the number of steps that it knows, that understands a database with this step.
    pub readable_from: usize,
}

/// Messages of other servers that a receiver may fall behind before it misses some.
const MESSAGES: usize = 8192;

/// Handle to the database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    engine: Engine,
    messages: broadcast::Sender<Arc<str>>,
}

#[derive(Clone, Debug)]
enum Engine {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
    /// A database of a test, in memory.
    #[cfg(test)]
    Memory(sqlite::Memory),
}

impl Db {
    /// Opens a SQLite file, creates it where it is missing, and applies the migration steps that it lacks. What changes
    /// publish goes to `feed`. Blocks.
    ///
    /// # Errors
    /// If the file cannot be opened or migrated, or was written by a later version, or a thread cannot be started.
    pub fn open(path: &Path, steps: &[&str], feed: ChangeFeed) -> Result<Self, OpenError> {
        Ok(Self::new(Engine::Sqlite(sqlite::Sqlite::open(path, steps, feed)?)))
    }

    /// Connects to a database of PostgreSQL, and applies the migration steps that it lacks. What changes publish goes to
    /// `feed`, those of other servers included. Blocks, so it is not for a task.
    ///
    /// # Errors
    /// If the URL is wrong, the database cannot be reached or migrated, or was written by a later version that this one
    /// does not understand, or a thread cannot be started.
    pub fn connect(url: &str, steps: &[SchemaStep<'_>], feed: ChangeFeed) -> Result<Self, OpenError> {
        let (messages, _) = broadcast::channel(MESSAGES);
        let engine = postgres::Postgres::connect(url.parse()?, steps, feed, messages.clone())?;
        Ok(Self { engine: Engine::Postgres(engine), messages })
    }

    /// Reads the URL of a database of PostgreSQL; returns its host and name, for messages.
    ///
    /// # Errors
    /// If the URL is wrong.
    pub fn name_of(url: &str) -> Result<String, UrlError> {
        Ok(url.parse::<postgres::Place>()?.name().to_string())
    }

    fn new(engine: Engine) -> Self {
        Self { engine, messages: broadcast::channel(MESSAGES).0 }
    }

    /// Sends a message to the other servers that use the database. It is queued, and lost if there is no room or no
    /// connection for long; then they get the message `missed`. A file has no other server.
    pub fn send_message(&self, message: String) {
        if let Engine::Postgres(engine) = &self.engine {
            engine.send_message(message);
        }
    }

    /// Waits until half of the queue of messages to other servers is free: who sends many leaves room for others.
    pub async fn await_message_room(&self) {
        if let Engine::Postgres(engine) = &self.engine {
            engine.await_message_room().await;
        }
    }

    /// Subscribes to the messages of the other servers from now on. The message `missed` stands for some that are lost;
    /// so does a receiver's lag.
    #[must_use]
    pub fn messages(&self) -> broadcast::Receiver<Arc<str>> {
        self.messages.subscribe()
    }

    /// Runs a closure in a transaction that writes, and commits it. If the closure fails, nothing that it wrote is kept.
    ///
    /// The closure may run more than once: where a neighbour breaks the transaction that they share, or the commit is
    /// lost on its way to PostgreSQL, each is run again in one of its own. After a statement that failed, it must fail, too.
    /// It runs to its end even if the caller goes away.
    ///
    /// # Errors
    /// The closure's own error, or that of the database.
    pub async fn change<T, E>(
        &self,
        change: impl FnMut(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        match &self.engine {
            Engine::Sqlite(engine) => engine.change(change).await,
            Engine::Postgres(engine) => engine.change(change).await,
            #[cfg(test)]
            Engine::Memory(engine) => engine.change(change),
        }
    }

    /// Runs a closure that reads, on one consistent state of the database.
    ///
    /// # Errors
    /// The closure's own error, or that of the database.
    pub async fn read<T, E>(&self, read: impl FnOnce(&Reading<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        match &self.engine {
            Engine::Sqlite(engine) => engine.read(read).await,
            Engine::Postgres(engine) => engine.read(read).await,
            #[cfg(test)]
            Engine::Memory(engine) => engine.read(read),
        }
    }

    /// Runs a closure that reads a few rows by an index, with SQLite on the thread of the caller: the way to another thread
    /// would take longer than the read itself.
    ///
    /// # Errors
    /// The closure's own error, or that of the database.
    pub async fn read_short<T, E>(
        &self,
        read: impl FnOnce(&Reading<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        match &self.engine {
            Engine::Sqlite(engine) => engine.read_short(read).await,
            Engine::Postgres(engine) => engine.read(read).await,
            #[cfg(test)]
            Engine::Memory(engine) => engine.read(read),
        }
    }

    /// Returns whether other servers may use the database at the same time.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }

    /// Finishes what is queued, and closes all connections, which writes SQLite's write-ahead log back into the file.
    /// Further calls fail.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(engine) => engine.close().await,
            Engine::Postgres(engine) => engine.close().await,
            #[cfg(test)]
            Engine::Memory(_) => {}
        }
    }
}

#[cfg(test)]
impl Db {
    /// Opens an empty database in memory, with one connection on which all closures run one after the other, on the
    /// thread of the caller.
    pub fn in_memory(steps: &[&str], feed: ChangeFeed) -> Result<Self, OpenError> {
        Ok(Self::new(Engine::Memory(sqlite::Memory::open(steps, feed)?)))
    }

    /// Returns the same database in memory with another feed.
    pub fn with_feed(&self, feed: ChangeFeed) -> Self {
        match &self.engine {
            Engine::Memory(memory) => Self::new(Engine::Memory(memory.with_feed(feed))),
            _ => unreachable!("only databases in memory change their feed"),
        }
    }

    /// Executes statements outside of any transaction, in memory.
    pub fn batch(&self, sql: &str) -> Result<(), DbError> {
        match &self.engine {
            Engine::Memory(memory) => memory.batch(sql),
            _ => unreachable!("only databases in memory take batches"),
        }
    }
}

/// Starts a thread of an engine.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, DbError> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map_err(|e| DbError::Thread(Arc::new(e)))
}

/// Access to the database within a closure: statements that read.
pub struct Reading<'a> {
    connection: Connection<'a>,
}

/// Connection of the engine at hand.
#[derive(Clone, Copy)]
enum Connection<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(&'a postgres::DatabaseSession),
}

/// Access to the database within a change: reads, writes, and publishes after the commit.
pub struct Transaction<'a> {
    reading: Reading<'a>,
    changes: Vec<Change>,
}

impl Reading<'_> {
    /// Returns all rows of a query.
    ///
    /// # Errors
    /// If the statement fails, or a row cannot be read.
    pub fn rows<T, E: From<DbError>>(
        &self,
        sql: &str,
        arguments: &[&dyn Argument],
        mut read: impl FnMut(&DbRow<'_>) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        if let Connection::Postgres(session) = self.connection {
            let rows = session.rows(sql, arguments)?;
            return rows.iter().map(|row| read(&DbRow { row: EngineRow::Postgres(row) })).collect();
        }
        let mut found = Vec::new();
        self.each(sql, arguments, |row| {
            found.push(read(row)?);
            Ok::<_, E>(true)
        })?;
        Ok(found)
    }

    /// Returns the first row of a query, if there is one.
    ///
    /// # Errors
    /// If the statement fails, or the row cannot be read.
    pub fn row<T, E: From<DbError>>(
        &self,
        sql: &str,
        arguments: &[&dyn Argument],
        mut read: impl FnMut(&DbRow<'_>) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        if let Connection::Postgres(session) = self.connection {
            let rows = session.rows(sql, arguments)?;
            return rows.first().map(|row| read(&DbRow { row: EngineRow::Postgres(row) })).transpose();
        }
        let mut found = None;
        self.each(sql, arguments, |row| {
            found = Some(read(row)?);
            Ok::<_, E>(false)
        })?;
        Ok(found)
    }

    /// Returns the only row of a query that always has one, such as a count.
    ///
    /// # Errors
    /// If the statement fails, has no row, or the row cannot be read.
    pub fn one<T, E: From<DbError>>(
        &self,
        sql: &str,
        arguments: &[&dyn Argument],
        read: impl FnMut(&DbRow<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.row(sql, arguments, read)?.ok_or_else(|| E::from(DbError::Strange("a row that is missing".to_owned())))
    }

    /// Returns the first column of the first row of a query, if there is a row.
    ///
    /// # Errors
    /// If the statement fails, or the column is of another kind.
    pub fn value<T: FromValue>(&self, sql: &str, arguments: &[&dyn Argument]) -> Result<Option<T>, DbError> {
        self.row(sql, arguments, |row| row.at(0))
    }

    /// Returns the first column of all rows of a query.
    ///
    /// # Errors
    /// If the statement fails, or a column is of another kind.
    pub fn values<T: FromValue>(&self, sql: &str, arguments: &[&dyn Argument]) -> Result<Vec<T>, DbError> {
        self.rows(sql, arguments, |row| row.at(0))
    }

    /// Reads the rows of a query one by one, until `read` returns false: a long list is never in memory as a whole.
    ///
    /// # Errors
    /// If the statement fails, or `read` does.
    pub fn each<E: From<DbError>>(
        &self,
        sql: &str,
        arguments: &[&dyn Argument],
        read: impl FnMut(&DbRow<'_>) -> Result<bool, E>,
    ) -> Result<(), E> {
        match self.connection {
            Connection::Sqlite(connection) => sqlite::each(connection, sql, arguments, read),
            Connection::Postgres(session) => session.each(sql, arguments, read),
        }
    }

    /// Asks a question whose answer is wanted soon, by the same statement with the same arguments. With PostgreSQL it goes out
    /// together with the next statement that is waited for; a statement in between that writes one of its tables makes it
    /// void.
    pub fn ask_ahead(&self, sql: &str, arguments: &[&dyn Argument]) {
        if let Connection::Postgres(session) = self.connection {
            session.ask_ahead(sql, arguments);
        }
    }

    /// Returns the time in microseconds since 1970: with PostgreSQL by its clock, which is one for all servers.
    ///
    /// # Errors
    /// If the database does not answer.
    pub fn clock(&self) -> Result<i64, DbError> {
        match self.connection {
            Connection::Sqlite(_) => Ok(Utc::now().timestamp_micros()),
            Connection::Postgres(_) => {
                let sql = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT";
                self.one(sql, &[], |row| row.at(0))
            }
        }
    }
}

impl<'a> std::ops::Deref for Transaction<'a> {
    type Target = Reading<'a>;

    fn deref(&self) -> &Self::Target {
        &self.reading
    }
}

impl Transaction<'_> {
    /// Executes a statement that writes, and returns the number of rows that it changed.
    ///
    /// # Errors
    /// If the statement fails.
    pub fn execute(&mut self, sql: &str, arguments: &[&dyn Argument]) -> Result<u64, DbError> {
        match self.reading.connection {
            Connection::Sqlite(connection) => sqlite::execute(connection, sql, arguments),
            Connection::Postgres(session) => session.execute(sql, arguments),
        }
    }

    /// Executes a statement that writes, of which nothing but its success is of interest. With PostgreSQL it goes out together
    /// with the next statement that is waited for, or with the commit; if it fails, so does that, and the change with it.
    ///
    /// # Errors
    /// If the statement fails, as far as that is known.
    pub fn write(&mut self, sql: &str, arguments: &[&dyn Argument]) -> Result<(), DbError> {
        match self.reading.connection {
            Connection::Sqlite(connection) => sqlite::execute(connection, sql, arguments).map(drop),
            Connection::Postgres(session) => session.write(sql, arguments),
        }
    }

    /// Publishes changes once this transaction is committed, in the order of the calls; never if it is not.
    pub fn publish_on_commit(&mut self, changes: impl IntoIterator<Item = Change>) {
        self.changes.extend(changes);
    }
}

/// Row of a query's result.
pub struct DbRow<'r> {
    row: EngineRow<'r>,
}

enum EngineRow<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r tokio_postgres::Row),
}

impl DbRow<'_> {
    /// Reads a column by its name.
    ///
    /// # Errors
    /// If there is no such column, or it is of another kind.
    pub fn get<T: FromValue>(&self, column: &str) -> Result<T, DbError> {
        match self.row {
            EngineRow::Sqlite(row) => sqlite::column(row, row.as_ref().column_index(column)?, column),
            EngineRow::Postgres(row) => postgres::named(row, column),
        }
    }

    /// Reads a column by its place, from 0.
    ///
    /// # Errors
    /// If there is no such column, or it is of another kind.
    pub fn at<T: FromValue>(&self, index: usize) -> Result<T, DbError> {
        match self.row {
            EngineRow::Sqlite(row) => sqlite::column(row, index, row.as_ref().column_name(index).unwrap_or("a column")),
            EngineRow::Postgres(row) => postgres::column(row, index),
        }
    }

    /// Reads a column of text by its name, without a copy.
    ///
    /// # Errors
    /// If there is no such column, or it is no text.
    pub fn text(&self, column: &str) -> Result<Cow<'_, str>, DbError> {
        match self.row {
            EngineRow::Sqlite(row) => sqlite::text(row, column).map(Cow::Borrowed),
            EngineRow::Postgres(row) => postgres::text(row, column),
        }
    }
}
