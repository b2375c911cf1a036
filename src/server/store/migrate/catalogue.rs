//! Tables and columns of both databases, and the numbers from which new ids are taken.

use rusqlite::{Connection, OptionalExtension};

use super::MigrateError;
use crate::server::store::db::{DatabaseSession, column};

/// Kind of the values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Text,
    Bytes,
}

impl Kind {
    /// Returns the name of the type in SQLite and in PostgreSQL.
    fn types(self) -> (&'static str, &'static str) {
        match self {
            Self::Integer => ("INTEGER", "int8"),
            Self::Text => ("TEXT", "text"),
            Self::Bytes => ("BLOB", "bytea"),
        }
    }

    /// Returns the kind of a column of these types; `None` if they differ.
    fn of(sqlite: &str, postgres: &str) -> Option<Self> {
        [Self::Integer, Self::Text, Self::Bytes].into_iter().find(|kind| kind.types() == (sqlite, postgres))
    }
}

/// Column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
}

/// Table with the columns that SQLite has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    /// Places of the columns of the key.
    pub key: Vec<usize>,
    /// Column whose values PostgreSQL gives itself.
    pub identity: Option<String>,
    /// Tables to which its rows refer, without itself.
    pub refers_to: Vec<String>,
}

impl Table {
    /// Returns the names of the columns, for a statement.
    pub fn column_list(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        names.join(", ")
    }

    /// Returns the query for all rows in the order of their key, which is the same in both databases.
    pub fn query(&self) -> String {
        let order = self.key.iter().map(|index| {
            let Column { name, .. } = &self.columns[*index];
            quoted(name)
        });
        let order: Vec<_> = order.collect();
        format!("SELECT {} FROM {} ORDER BY {}", self.column_list(), quoted(&self.name), order.join(", "))
    }
}

/// Quotes a name of a table or column.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns the tables of SQLite in an order in which no row refers to one that comes later.
///
/// # Errors
/// If a table or column is missing in PostgreSQL, or of another type.
pub fn tables(source: &Connection, target: &DatabaseSession) -> Result<Vec<Table>, MigrateError> {
    let mut names = source.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' ORDER BY name",
    )?;
    let names = names.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    let tables = names.into_iter().map(|name| table(source, target, name)).collect::<Result<_, _>>()?;
    in_order(tables)
}

/// Sorts tables so that each comes after those to which it refers.
pub(super) fn in_order(mut waiting: Vec<Table>) -> Result<Vec<Table>, MigrateError> {
    let mut sorted: Vec<Table> = Vec::new();
    while !waiting.is_empty() {
        let is_free = |table: &Table| {
            let is_done = |name: &String| sorted.iter().any(|done| done.name == *name);
            table.refers_to.iter().all(is_done)
        };
        let (free, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_free);
        if free.is_empty() {
            let names: Vec<_> = others.into_iter().map(|table| table.name).collect();
            return Err(MigrateError::Unknown(format!("the circle of references of {}", names.join(", "))));
        }
        sorted.extend(free);
        waiting = others;
    }
    Ok(sorted)
}

fn table(source: &Connection, target: &DatabaseSession, name: String) -> Result<Table, MigrateError> {
    let found = target.rows(
        "SELECT CAST(attname AS TEXT), CAST(typname AS TEXT), CAST(attidentity AS TEXT)
         FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
         WHERE attrelid = to_regclass(quote_ident(?)) AND attnum > 0 AND NOT attisdropped",
        &[&name],
    )?;
    let mut there = Vec::new();
    for row in &found {
        there.push((column::<String>(row, 0)?, column::<String>(row, 1)?, column::<String>(row, 2)?));
    }
    let mut question = source.prepare("SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid")?;
    let here = question.query_map([&name], |row| row.try_into())?;
    let (mut columns, mut key, mut identity) = (Vec::new(), Vec::new(), None);
    for (index, column) in here.enumerate() {
        let (column, kind, place): (String, String, i64) = column?;
        let other = there.iter().find(|(name, ..)| *name == column);
        let unknown = || MigrateError::Unknown(format!("the column {column} of the table {name}"));
        let (_, other_kind, generated) = other.ok_or_else(unknown)?;
        let kind = Kind::of(&kind, other_kind).ok_or_else(unknown)?;
        if place > 0 {
            key.push((place, index));
        }
        if !generated.is_empty() {
            identity = Some(column.clone());
        }
        columns.push(Column { name: column, kind });
    }
    key.sort_unstable();
    let mut refers_to =
        source.prepare("SELECT DISTINCT \"table\" FROM pragma_foreign_key_list(?1) WHERE \"table\" <> ?1")?;
    let refers_to = refers_to.query_map([&name], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(Table { name, columns, key: key.into_iter().map(|(_, index)| index).collect(), identity, refers_to })
}

/// Lets PostgreSQL give ids behind all that SQLite has ever given, those of deleted rows included.
///
/// # Errors
/// If a statement fails, or the next id is another one afterwards.
pub fn continue_ids(source: &Connection, target: &DatabaseSession, table: &Table) -> Result<(), MigrateError> {
    let Some(identity) = &table.identity else { return Ok(()) };
    let (name, column_name) = (quoted(&table.name), quoted(identity));
    let sql = format!("SELECT coalesce(max({column_name}), 0) FROM {name}");
    let largest: i64 = source.query_row(&sql, [], |row| row.get(0))?;
    let given = "SELECT seq FROM sqlite_sequence WHERE name = ?";
    let given: Option<i64> = source.query_row(given, [&table.name], |row| row.get(0)).optional()?;
    let next = largest.max(given.unwrap_or(0)).max(0) + 1;
    // Unlike `setval`, this is part of the transaction.
    target.batch(&format!("ALTER TABLE {name} ALTER COLUMN {column_name} RESTART WITH {next}"))?;
    Ok(())
}
