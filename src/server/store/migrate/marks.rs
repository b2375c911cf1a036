//! Marks that keep servers from a store that is not whole, or not the present one any more.
//!
//! A mark is a version that no program knows, the true one plus [`MARK`]: every program refuses such a store, also one
//! that has never heard of marks.

use std::fmt;
use std::path::Path;

use chrono::Utc;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::MigrateError;
use crate::server::store::db::{DatabaseSession, DbError, column};

/// Added to the version of a store on which no server may start.
const MARK: i64 = 1_000_000;
/// Key of the lock that a migration holds on the database.
const LOCK: i64 = 0x6a6f_626d_6f76_6521;
/// Setting that names the installation to which a store belongs. It is made by the first migration.
const INSTALLATION: &str = "installation";
/// Setting of a SQLite store that names the database to which it was moved.
const MOVED_TO: &str = "moved_to";
/// Setting of a SQLite store with the time at which it was moved.
const MOVED_AT: &str = "moved_at";
/// Time to wait for an earlier migration whose process is gone, until PostgreSQL notices that.
const WAIT_FOR_LOCK: &str = "15s";

/// Mark of a SQLite store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMark {
    /// Installation to which it belongs, once a migration was begun.
    pub installation: Option<String>,
    /// Database to which it was moved, if it was.
    pub moved_to: Option<String>,
}

/// State of the database to which a store is to be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// It has no tables.
    Empty,
    /// Its tables are not this program's.
    Foreign,
    /// A migration of the store of this installation was begun, and not finished.
    Incomplete(Option<String>),
    /// It is the store of an installation; `None` if that has never been moved.
    Complete(Option<String>),
}

/// Reason why a store is not moved to a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Tables of another program.
    Foreign,
    /// Data of another installation.
    Other,
    /// An incomplete copy of another installation.
    OtherIncomplete,
    /// Data of this installation, which servers may have changed since.
    Already,
    /// The SQLite store was moved to another database.
    MovedElsewhere,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Foreign => "has tables of another program; allowed is an empty database",
            Self::Other => "has the data of another installation; allowed is an empty database",
            Self::OtherIncomplete => {
                "has an incomplete copy of another installation; finish that migration, or name an empty database"
            }
            Self::Already => {
                "has the data of this store already, which may have changed since; allowed is an empty database"
            }
            Self::MovedElsewhere => {
                "is not the one to which this store was moved; `job_runner migrate --back` lets it be moved again"
            }
        })
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The store is copied, from the beginning.
    Copy,
    /// The store was moved there before.
    Nothing,
    /// Nothing may be done.
    Refuse(Refusal),
}

/// Decides whether a store may be moved to the database at a place.
pub fn decide(source: &SourceMark, target: &TargetState, place: &str) -> Decision {
    let is_own = |installation: &Option<String>| installation.is_some() && *installation == source.installation;
    match (target, &source.moved_to) {
        (TargetState::Foreign, _) => Decision::Refuse(Refusal::Foreign),
        (TargetState::Incomplete(installation), _) if !is_own(installation) => {
            Decision::Refuse(Refusal::OtherIncomplete)
        }
        (TargetState::Complete(installation), _) if !is_own(installation) => Decision::Refuse(Refusal::Other),
        (TargetState::Complete(_), Some(_)) => Decision::Nothing,
        (TargetState::Complete(_), None) => Decision::Refuse(Refusal::Already),
        (TargetState::Empty, Some(_)) => Decision::Refuse(Refusal::MovedElsewhere),
        // Begun here, and then done elsewhere: that is the store now.
        (TargetState::Incomplete(_), Some(moved_to)) if moved_to != place => Decision::Refuse(Refusal::MovedElsewhere),
        // With `Some`, the last migration ended between the commits of the two databases.
        (TargetState::Incomplete(_), _) | (TargetState::Empty, None) => Decision::Copy,
    }
}

impl SourceMark {
    /// Reads the mark of a SQLite store.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(source: &Connection) -> Result<Self, MigrateError> {
        let exists = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'setting'";
        if source.query_row(exists, [], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(Self::default());
        }
        let moved_to = if version(source)? > MARK { setting(source, MOVED_TO)? } else { None };
        Ok(Self { installation: setting(source, INSTALLATION)?, moved_to })
    }
}

impl TargetState {
    /// Reads the state of a database, within a transaction in which no server can begin to use it.
    ///
    /// # Errors
    /// If a statement fails.
    pub fn read(target: &DatabaseSession) -> Result<Self, MigrateError> {
        // Tables of an extension, which some providers install everywhere, are nobody's data.
        let tables = target.rows(
            "SELECT CAST(relname AS TEXT) FROM pg_class WHERE relnamespace = CAST(current_schema() AS regnamespace)
             AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT EXISTS (SELECT 1 FROM pg_depend
                WHERE classid = CAST('pg_class' AS regclass) AND objid = pg_class.oid AND deptype = 'e')",
            &[],
        )?;
        let tables = tables.iter().map(|row| column(row, 0)).collect::<Result<Vec<String>, _>>()?;
        if tables.is_empty() {
            return Ok(Self::Empty);
        }
        if ["schema_version", "setting"].iter().any(|own| !tables.iter().any(|table| table == own)) {
            return Ok(Self::Foreign);
        }
        let versions = target.rows("SELECT version FROM schema_version", &[])?;
        let version: Option<i64> = versions.first().map(|row| column(row, 0)).transpose()?;
        let installation = target.rows("SELECT value FROM setting WHERE name = ?", &[&INSTALLATION])?;
        let installation = installation.first().map(|row| column(row, 0)).transpose()?;
        Ok(match version {
            Some(version) if version > MARK => Self::Incomplete(installation),
            _ => Self::Complete(installation),
        })
    }
}

/// Waits until no other migration works on the database, and keeps further ones out while the session lasts.
///
/// # Errors
/// If another one does not end, or the database fails.
pub fn lock(target: &DatabaseSession, place: &str) -> Result<(), MigrateError> {
    // The settings of the role or database are for short transactions.
    target.batch(&format!(
        "SET lock_timeout = '{WAIT_FOR_LOCK}'; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
         SET synchronous_commit = on"
    ))?;
    target
        .batch_without_deadline(&format!("SELECT pg_advisory_lock({LOCK})"))
        .map_err(|error| if error.is_lock_timeout() { MigrateError::Busy(place.to_owned()) } else { error.into() })
}

/// Returns the installation of a SQLite store, after giving it a name if it has none.
///
/// # Errors
/// If either database fails.
pub fn installation(source: &Connection, target: &DatabaseSession) -> Result<String, MigrateError> {
    if let Some(installation) = setting(source, INSTALLATION)? {
        return Ok(installation);
    }
    let fresh = target.rows("SELECT CAST(gen_random_uuid() AS TEXT)", &[])?;
    let fresh: String = fresh.first().map_or(Err(DbError::Strange("a random id".to_owned())), |row| column(row, 0))?;
    set_setting(source, INSTALLATION, &fresh)?;
    Ok(fresh)
}

/// Marks a database as one that a migration fills, in the transaction that made its tables.
///
/// # Errors
/// If a statement fails.
pub fn set(target: &DatabaseSession, installation: &str) -> Result<(), MigrateError> {
    let sql = "UPDATE schema_version SET version = version + ?1, readable_from = readable_from + ?1";
    target.execute(sql, &[&MARK])?;
    let sql = "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    target.execute(sql, &[&INSTALLATION, &installation])?;
    Ok(())
}

/// Takes the mark of a database away, if it has one.
///
/// # Errors
/// If a statement fails.
pub fn clear(target: &DatabaseSession) -> Result<(), MigrateError> {
    let exists = target.rows("SELECT to_regclass('schema_version') IS NOT NULL", &[])?;
    if exists.first().map(|row| column::<i64>(row, 0)).transpose()? == Some(1) {
        target.execute(
            "UPDATE schema_version SET version = version - ?1, readable_from = readable_from - ?1 WHERE version > ?1",
            &[&MARK],
        )?;
    }
    Ok(())
}

/// Marks a SQLite store as moved, in the caller's transaction.
///
/// # Errors
/// If the file cannot be written.
pub fn mark_moved(source: &Connection, place: &str) -> Result<(), MigrateError> {
    set_setting(source, MOVED_TO, place)?;
    set_setting(source, MOVED_AT, &Utc::now().format("%Y-%m-%d %H:%M:%S UTC").to_string())?;
    source.pragma_update(None, "user_version", version(source)? + MARK)?;
    Ok(())
}

/// Takes the mark of a SQLite store away, if it has one.
///
/// # Errors
/// If the file cannot be written.
pub fn release(source: &Connection) -> Result<(), MigrateError> {
    let marked = version(source)?;
    if marked > MARK {
        source.execute_batch("BEGIN IMMEDIATE")?;
        source.execute("DELETE FROM setting WHERE name IN (?, ?)", [MOVED_TO, MOVED_AT])?;
        source.pragma_update(None, "user_version", marked - MARK)?;
        source.execute_batch("COMMIT")?;
    }
    Ok(())
}

/// Returns whether a version is the mark of a store on which no server may start.
pub fn is_marked(version: i64) -> bool {
    version > MARK
}

/// Returns where a SQLite store was moved, and when; `None` if it was not, or cannot be read.
pub fn moved_to(file: &Path) -> Option<(String, String)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(file, flags).ok()?;
    let place = SourceMark::read(&source).ok()?.moved_to?;
    Some((place, setting(&source, MOVED_AT).ok()??))
}

fn version(source: &Connection) -> Result<i64, MigrateError> {
    Ok(source.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn setting(source: &Connection, name: &str) -> Result<Option<String>, MigrateError> {
    let value = source.query_row("SELECT value FROM setting WHERE name = ?", [name], |row| row.get(0));
    Ok(value.optional()?)
}

fn set_setting(source: &Connection, name: &str, value: &str) -> Result<(), MigrateError> {
    let sql = "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    source.execute(sql, [name, value])?;
    Ok(())
}
