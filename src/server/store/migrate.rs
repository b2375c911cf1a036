//! Moves the SQLite store of a stopped server to an empty PostgreSQL database: copies every row of every table, then
//! compares each of them, column by column, with what arrived.
//!
//! Little is in memory at a time, whatever the size of the store: a row, and a piece of the stream to PostgreSQL.
//!
//! All rows arrive in one transaction, which also takes away the mark that the database got before it. So a
//! migration that is interrupted leaves an empty database on which no server starts, and the next one begins anew. The
//! SQLite file gets a mark of its own, just before that transaction is committed: there is no moment at which servers
//! could start on both stores.

mod catalogue;
mod check;
mod copy;
mod marks;
mod rows;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::db::{Bulk, DatabaseSession, DbError, OpenError, migrate_sqlite};
use super::{StoreError, schema};
use catalogue::Table;
pub use marks::Refusal;
use marks::{Decision, SourceMark};
pub(super) use marks::{is_marked, moved_to};

/// Longest wait for SQLite's lock, which another program may hold.
const PATIENCE: Duration = Duration::from_secs(30);
/// Interval at which the progress of a long table is reported.
const REPORT: Duration = Duration::from_secs(2);

/// Reason why a store cannot be moved.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// There is no SQLite file.
    #[error("there is no SQLite store {0}; allowed is the data directory of a server that has kept its data in SQLite")]
    NoStore(PathBuf),
    /// The store cannot be opened, or was written by a later version; or the URL is wrong.
    #[error(transparent)]
    Open(#[from] StoreError),
    /// A statement failed, in either database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Another process moves a store to this database.
    #[error("another migration works on the database {0}; one at a time is allowed")]
    Busy(String),
    /// The database is not empty.
    #[error("the database {place} {refusal}")]
    Refused {
        /// Host and name of the database.
        place: String,
        /// Reason, as the rest of the sentence.
        refusal: Refusal,
    },
    /// The SQLite store has a table or column that this program does not know.
    #[error("{0} of the SQLite store has no place in PostgreSQL")]
    Unknown(String),
    /// A value is of another kind than its column.
    #[error("{row} of the SQLite store has a value in the column {column} that this program does not write")]
    Strange {
        /// Table and key of the row.
        row: String,
        /// Name of the column.
        column: String,
    },
    /// A row arrived as another one than was sent, or not at all.
    #[error("{0} in PostgreSQL differs from the one in SQLite; nothing was moved")]
    Differs(String),
    /// The answer to the commit was lost.
    #[error("it is unknown whether the last step was done; the same command again finds out")]
    Unfinished(#[source] DbError),
}

impl From<rusqlite::Error> for MigrateError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Step of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationStage {
    /// Rows are sent to PostgreSQL.
    Copy,
    /// Rows are read from both, and compared.
    Check,
}

/// How far a migration is with a table.
#[derive(Clone, Copy, Debug)]
pub struct TableProgress<'a> {
    /// Step of the migration.
    pub stage: MigrationStage,
    /// Name of the table.
    pub table: &'a str,
    /// Rows of the table so far.
    pub rows: u64,
    /// Bytes of these rows.
    pub bytes: u64,
    /// Time since the table was begun.
    pub elapsed: Duration,
    /// Whether the table is through.
    pub is_done: bool,
}

/// Function that is told of the progress.
pub type Watch<'a> = &'a mut dyn FnMut(TableProgress<'_>);

/// Rows of a table that were copied and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedTable {
    /// Name of the table.
    pub table: String,
    /// Number of its rows.
    pub rows: u64,
    /// Bytes of the rows, as they were sent.
    pub bytes: u64,
}

/// MigrationOutcome of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MigrationOutcome {
    /// The store was moved.
    Moved {
        /// Tables in the order in which they were copied.
        tables: Vec<MovedTable>,
        /// Time that the copy took.
        copied_in: Duration,
        /// Time that the comparison took.
        checked_in: Duration,
    },
    /// An earlier migration had moved the store, and nothing was done.
    AlreadyMoved,
}

/// Moves a store to the database of a URL. The caller holds the lock of the data directory. Blocks, so it is not for a
/// task.
///
/// # Errors
/// If either database cannot be used, the target is not empty, or a row differs. Then the SQLite store is as it was.
pub fn to_postgres(file: &Path, url: &str, watch: Watch<'_>) -> Result<MigrationOutcome, MigrateError> {
    let source = open(file)?;
    let place = super::db::Db::name_of(url).map_err(StoreError::from)?;
    let opening = |error: OpenError| StoreError::opening(place.clone(), error);
    let bulk = Bulk::connect(url).map_err(opening)?;
    let target = bulk.session();
    marks::lock(target, &place)?;
    let mark = SourceMark::read(&source)?;
    bulk.begin()?;
    match marks::decide(&mark, &marks::TargetState::read(target)?, &place) {
        Decision::Copy => {}
        Decision::Nothing => return Ok(MigrationOutcome::AlreadyMoved),
        Decision::Refuse(refusal) => return Err(MigrateError::Refused { place, refusal }),
    }
    marks::release(&source)?;
    let shown = file.display().to_string();
    migrate_sqlite(&source, schema::MIGRATIONS).map_err(|error| StoreError::opening(shown, error))?;
    let installation = marks::installation(&source, target)?;
    marks::clear(target)?;
    bulk.apply(schema::POSTGRES_MIGRATIONS).map_err(opening)?;
    marks::set(target, &installation)?;
    target.batch_without_deadline("COMMIT")?;
    let outcome = copy_and_check(&source, target, &place, watch)?;
    commit(&source, target)?;
    Ok(outcome)
}

/// Lets a server start on a SQLite store again that was moved to PostgreSQL. Returns the place to which it was moved;
/// `None` if it was not.
///
/// # Errors
/// If the file cannot be read or written.
pub fn back_to_sqlite(file: &Path) -> Result<Option<String>, MigrateError> {
    let source = open(file)?;
    let SourceMark { moved_to, .. } = SourceMark::read(&source)?;
    marks::release(&source)?;
    Ok(moved_to)
}

/// Opens the file, which must exist.
fn open(file: &Path) -> Result<Connection, MigrateError> {
    if !file.metadata().is_ok_and(|found| found.len() > 0) {
        return Err(MigrateError::NoStore(file.to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(file, flags)?;
    source.busy_timeout(PATIENCE)?;
    // The marks must not be lost with the power, since the other database does not lose its own.
    source.pragma_update(None, "synchronous", "FULL")?;
    source.pragma_update(None, "foreign_keys", true)?;
    Ok(source)
}

/// Copies and compares all tables in transactions on both sides, and leaves both open with their marks changed.
fn copy_and_check(
    source: &Connection,
    target: &DatabaseSession,
    place: &str,
    watch: Watch<'_>,
) -> Result<MigrationOutcome, MigrateError> {
    // From here on, nobody else can write into the file.
    source.execute_batch("BEGIN IMMEDIATE")?;
    let tables = catalogue::tables(source, target)?;
    copy::begin(target, &tables)?;
    let begun = Instant::now();
    let moved = tables.iter().map(|table| copy::copy(source, target, table, watch)).collect::<Result<Vec<_>, _>>()?;
    for table in &tables {
        catalogue::continue_ids(source, target, table)?;
    }
    copy::analyze(target, &tables)?;
    let copied_in = begun.elapsed();
    let begun = Instant::now();
    for table in &tables {
        check::check(source, target, table, watch)?;
    }
    marks::clear(target)?;
    marks::mark_moved(source, place)?;
    Ok(MigrationOutcome::Moved { tables: moved, copied_in, checked_in: begun.elapsed() })
}

/// Commits on both sides, the mark of the SQLite file first.
fn commit(source: &Connection, target: &DatabaseSession) -> Result<(), MigrateError> {
    source.execute_batch("COMMIT")?;
    if let Err(error) = target.batch_without_deadline("COMMIT") {
        if error.is_lost() {
            return Err(MigrateError::Unfinished(error));
        }
        // It was refused for certain, so the SQLite store is still the only one.
        marks::release(source)?;
        return Err(error.into());
    }
    // Leaves one file, without a log beside it.
    let _ = source.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    Ok(())
}

/// Counts the rows of a table, and reports how far it is.
struct Meter<'a, 'w> {
    watch: Watch<'w>,
    stage: MigrationStage,
    table: &'a Table,
    rows: u64,
    bytes: u64,
    begun: Instant,
    reported: Instant,
}

impl<'a, 'w> Meter<'a, 'w> {
    fn new(stage: MigrationStage, table: &'a Table, watch: Watch<'w>) -> Self {
        let now = Instant::now();
        Self { watch, stage, table, rows: 0, bytes: 0, begun: now, reported: now }
    }

    fn count(&mut self, bytes: usize) {
        self.rows += 1;
        self.bytes += bytes as u64;
        if self.reported.elapsed() >= REPORT {
            self.report(false);
            self.reported = Instant::now();
        }
    }

    fn report(&mut self, is_done: bool) {
        if self.rows == 0 {
            return;
        }
        let Self { stage, table, rows, bytes, begun, .. } = *self;
        (self.watch)(TableProgress { stage, table: &table.name, rows, bytes, elapsed: begun.elapsed(), is_done });
    }
}
