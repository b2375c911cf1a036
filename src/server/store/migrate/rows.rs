//! Rows as PostgreSQL's binary COPY format has them: the number of columns, and for each its length and its bytes.

use rusqlite::types::ValueRef;

use super::MigrateError;
use super::catalogue::{Kind, Table};
use crate::server::store::db::nul;

/// Begin of a stream: a signature, no flags, and no extension.
pub const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// End of a stream, in place of the number of columns.
pub const END: [u8; 2] = (-1_i16).to_be_bytes();
/// Length of a value that is NULL.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// Appends a row of SQLite as PostgreSQL will have it.
///
/// # Errors
/// If a value is of another kind than its column, or cannot be read.
pub fn encode(row: &rusqlite::Row<'_>, table: &Table, into: &mut Vec<u8>) -> Result<(), MigrateError> {
    let strange =
        |index: usize| MigrateError::Strange { row: named(row, table), column: table.columns[index].name.clone() };
    let columns = i16::try_from(table.columns.len()).map_err(|_| strange(0))?;
    into.extend_from_slice(&columns.to_be_bytes());
    for (index, column) in table.columns.iter().enumerate() {
        let encoded = match (row.get_ref(index)?, column.kind) {
            (ValueRef::Null, _) => {
                into.extend_from_slice(&NULL);
                Some(())
            }
            (ValueRef::Integer(number), Kind::Integer) => append(into, &number.to_be_bytes()),
            (ValueRef::Text(text), Kind::Text) => {
                std::str::from_utf8(text).ok().and_then(|text| append(into, nul::encode(text).as_bytes()))
            }
            // SQLite keeps texts of a column of bytes as they were written.
            (ValueRef::Blob(bytes) | ValueRef::Text(bytes), Kind::Bytes) => append(into, bytes),
            _ => None,
        };
        encoded.ok_or_else(|| strange(index))?;
    }
    Ok(())
}

fn append(into: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    into.extend_from_slice(&i32::try_from(bytes.len()).ok()?.to_be_bytes());
    into.extend_from_slice(bytes);
    Some(())
}

/// Names a row by its table and key, for a message.
pub fn named(row: &rusqlite::Row<'_>, table: &Table) -> String {
    let key = table.key.iter().map(|index| match row.get_ref(*index) {
        Ok(ValueRef::Integer(number)) => number.to_string(),
        Ok(ValueRef::Text(text)) => format!("{:?}", String::from_utf8_lossy(text)),
        _ => "?".to_owned(),
    });
    let key: Vec<_> = key.collect();
    format!("the row {} of the table {}", key.join(", "), table.name)
}
