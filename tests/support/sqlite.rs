//! The database of a program under test, looked at from outside.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Result};

/// How long a statement waits for a transaction of another connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens a database that exists.
pub fn connect(file: &Path) -> Result<Connection> {
    open(file, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

/// Opens a database that exists, and changes nothing in it.
pub fn connect_read_only(file: &Path) -> Result<Connection> {
    open(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn open(file: &Path, access: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}
