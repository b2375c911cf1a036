//! Copy of a table to PostgreSQL.

use rusqlite::Connection;

use super::catalogue::{Table, quoted};
use super::{Meter, MigrateError, MigrationStage, MovedTable, Watch, rows};
use crate::server::store::db::DatabaseSession;

/// Bytes of rows that are sent at a time, about.
const PIECE: usize = 256 * 1024;

/// Begins the transaction of the copy, with empty tables.
///
/// # Errors
/// If a statement fails.
pub fn begin(target: &DatabaseSession, tables: &[Table]) -> Result<(), MigrateError> {
    target.begin("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")?;
    Ok(target.batch(&format!("TRUNCATE {} CASCADE", names(tables)))?)
}

/// Counts values for PostgreSQL's planner, so that the first queries are as fast as later ones.
///
/// # Errors
/// If a statement fails.
pub fn analyze(target: &DatabaseSession, tables: &[Table]) -> Result<(), MigrateError> {
    Ok(target.batch_without_deadline(&format!("ANALYZE {}", names(tables)))?)
}

fn names(tables: &[Table]) -> String {
    let names: Vec<_> = tables.iter().map(|table| quoted(&table.name)).collect();
    names.join(", ")
}

/// Copies all rows of a table, which is empty and was emptied in this transaction.
///
/// # Errors
/// If either database fails, or a value is of another kind than its column.
pub fn copy(
    source: &Connection,
    target: &DatabaseSession,
    table: &Table,
    watch: Watch<'_>,
) -> Result<MovedTable, MigrateError> {
    let mut meter = Meter::new(MigrationStage::Copy, table, watch);
    let mut statement = source.prepare(&table.query())?;
    let mut found = statement.query([])?;
    // Frozen: the rows are as good as old ones, and need not be written again by a later vacuum.
    let sql = format!("COPY {} ({}) FROM STDIN (FORMAT binary, FREEZE)", quoted(&table.name), table.column_list());
    let mut stream = target.copy_in(&sql)?;
    let mut piece = rows::HEAD.to_vec();
    while let Some(row) = found.next()? {
        let before = piece.len();
        rows::encode(row, table, &mut piece)?;
        meter.count(piece.len() - before);
        if piece.len() >= PIECE {
            stream.send(std::mem::take(&mut piece))?;
        }
    }
    piece.extend_from_slice(&rows::END);
    stream.send(piece)?;
    let arrived = stream.finish()?;
    if arrived != meter.rows {
        return Err(MigrateError::Differs(format!("the number of rows of the table {}", table.name)));
    }
    meter.report(true);
    Ok(MovedTable { table: table.name.clone(), rows: meter.rows, bytes: meter.bytes })
}
