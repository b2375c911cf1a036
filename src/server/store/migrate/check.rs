//! Comparison of a table in both databases, row by row and column by column.

use rusqlite::Connection;

use super::catalogue::{Table, quoted};
use super::{Meter, MigrateError, MigrationStage, Watch, rows};
use crate::server::store::db::{CopyOut, DatabaseSession, column};

/// Reads a table from both databases in the order of its key, and compares the values of all columns.
///
/// # Errors
/// If either database fails, a row differs, or one of them has a row that the other has not.
pub fn check(
    source: &Connection,
    target: &DatabaseSession,
    table: &Table,
    watch: Watch<'_>,
) -> Result<(), MigrateError> {
    let mut meter = Meter::new(MigrationStage::Check, table, watch);
    let mut statement = source.prepare(&table.query())?;
    let mut found = statement.query([])?;
    let mut stream = target.copy_out(&format!("COPY ({}) TO STDOUT (FORMAT binary)", table.query()))?;
    let differs = || MigrateError::Differs(format!("the end of the table {}", table.name));
    if !equals(&mut stream, rows::HEAD)? {
        return Err(differs());
    }
    let mut expected = Vec::new();
    while let Some(row) = found.next()? {
        expected.clear();
        rows::encode(row, table, &mut expected)?;
        if let Some(what) = difference(&mut stream, &expected, table)? {
            return Err(MigrateError::Differs(format!("{what} of {}", rows::named(row, table))));
        }
        meter.count(expected.len());
    }
    if !equals(&mut stream, &rows::END)? || !stream.buffered()?.is_empty() {
        return Err(differs());
    }
    drop(stream);
    meter.report(true);
    check_next_id(source, target, table)
}

/// Compares a row; returns what is different.
fn difference(stream: &mut CopyOut<'_>, expected: &[u8], table: &Table) -> Result<Option<String>, MigrateError> {
    let (columns, mut rest) = expected.split_at(2);
    if !equals(stream, columns)? {
        return Ok(Some("all".to_owned()));
    }
    for column in &table.columns {
        let length = rest.first_chunk().map_or(-1, |length| i32::from_be_bytes(*length));
        // The length is compared along with the bytes, so that NULL is not the same as nothing.
        let (value, others) = rest.split_at(4 + usize::try_from(length).unwrap_or(0));
        if !equals(stream, value)? {
            return Ok(Some(format!("the column {}", column.name)));
        }
        rest = others;
    }
    Ok(None)
}

/// Takes as many bytes out of the stream as are expected; returns whether they are the same.
fn equals(stream: &mut CopyOut<'_>, mut expected: &[u8]) -> Result<bool, MigrateError> {
    while !expected.is_empty() {
        let there = stream.buffered()?;
        let length = there.len().min(expected.len());
        let (now, later) = expected.split_at(length);
        if length == 0 || there[..length] != *now {
            return Ok(false);
        }
        stream.consume(length);
        expected = later;
    }
    Ok(true)
}

/// Checks that PostgreSQL gives no id that SQLite has given.
fn check_next_id(source: &Connection, target: &DatabaseSession, table: &Table) -> Result<(), MigrateError> {
    let Some(identity) = &table.identity else { return Ok(()) };
    let sequence = target.rows("SELECT pg_get_serial_sequence(?, ?)", &[&table.name, identity])?;
    let sequence: String = sequence.first().map_or(Ok(String::new()), |row| column(row, 0))?;
    let next = target.rows(&format!("SELECT last_value + CAST(is_called AS INTEGER) FROM {sequence}"), &[])?;
    let next: i64 = next.first().map_or(Ok(0), |row| column(row, 0))?;
    let sql = format!(
        "SELECT max(coalesce((SELECT max({}) FROM {}), 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0))",
        quoted(identity),
        quoted(&table.name)
    );
    let given: i64 = source.query_row(&sql, [&table.name], |row| row.get(0))?;
    if next != given.max(0) + 1 {
        return Err(MigrateError::Differs(format!("the next id of the table {}", table.name)));
    }
    Ok(())
}
