//! Queue of updates that a Python worker of Flamenco leaves in a SQLite file.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

#[cfg(test)]
mod tests;

/// Returns the number of updates that wait in a file; 0 where there is no such file, or none of a Python worker.
pub(super) fn rows(path: &Path) -> u64 {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|file| file.query_row("SELECT count(*) FROM fworker_queue", [], |row| row.get::<_, i64>(0)))
        .map_or(0, i64::unsigned_abs)
}
