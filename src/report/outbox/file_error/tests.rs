//! Tests of the errors on the outbox's file: the meaning of each code, and the text.

use super::*;

fn failure(code: i32, message: Option<&str>) -> OutboxFileError {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), message.map(str::to_owned)).into()
}

#[test]
fn the_primary_code_decides_what_an_error_means() {
    let meanings = [
        (ffi::SQLITE_FULL, StoreTrouble::NoRoom),
        (ffi::SQLITE_IOERR, StoreTrouble::NoRoom),
        (ffi::SQLITE_IOERR_WRITE, StoreTrouble::NoRoom),
        (ffi::SQLITE_IOERR_FSYNC, StoreTrouble::NoRoom),
        (ffi::SQLITE_CANTOPEN, StoreTrouble::NoRoom),
        (ffi::SQLITE_CANTOPEN_ISDIR, StoreTrouble::NoRoom),
        (ffi::SQLITE_CORRUPT, StoreTrouble::Damaged),
        (ffi::SQLITE_CORRUPT_INDEX, StoreTrouble::Damaged),
        (ffi::SQLITE_NOTADB, StoreTrouble::Damaged),
        (ffi::SQLITE_ERROR, StoreTrouble::Other),
        (ffi::SQLITE_BUSY, StoreTrouble::Other),
        (ffi::SQLITE_READONLY_DBMOVED, StoreTrouble::Other),
        (ffi::SQLITE_CONSTRAINT_PRIMARYKEY, StoreTrouble::Other),
    ];
    for (code, meaning) in meanings {
        assert_eq!(failure(code, None).trouble(), meaning, "code {code}");
    }
}

#[test]
fn an_error_without_a_code_is_neither_damage_nor_want_of_room() {
    let system = OutboxFileError::from(io::Error::from(io::ErrorKind::StorageFull));
    assert_eq!(system.trouble(), StoreTrouble::Other);
    assert_eq!(OutboxFileError::from(rusqlite::Error::QueryReturnedNoRows).trouble(), StoreTrouble::Other);
}

#[test]
fn an_error_says_sqlites_code_and_message_and_nothing_twice() {
    let full = failure(ffi::SQLITE_FULL, Some("database or disk is full"));
    assert_eq!(full.to_string(), "(code: 13) database or disk is full");
    assert_eq!(full.message(), "database or disk is full");
    assert!(std::error::Error::source(&full).is_none());
    let unopened = failure(ffi::SQLITE_CANTOPEN, Some("unable to open database file: /no/such/outbox.sqlite"));
    assert_eq!(unopened.message(), "unable to open database file");
}

#[test]
fn an_error_in_a_statement_has_its_message_without_the_statement() {
    let connection = rusqlite::Connection::open_in_memory().expect("a connection");
    let error = OutboxFileError::from(connection.execute_batch("DELETE FROM nowhere").expect_err("no such table"));
    assert_eq!(error.to_string(), "(code: 1) no such table: nowhere");
}
