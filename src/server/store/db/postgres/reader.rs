//! Reads: each in a transaction of its own, on a connection that is made where there is none.

use super::session::DatabaseSession;
use super::{Access, AnyConnection};
use crate::server::store::db::group::without_panic;
use crate::server::store::db::{DbError, Reading};

/// Settings of the connection. A write through it fails.
const SETTINGS: &str = "SET default_transaction_read_only = on; SET idle_in_transaction_session_timeout = '60s';
    SET client_min_messages = warning; SET jit = off; SET cursor_tuple_fraction = 1;
    SET plan_cache_mode = force_generic_plan";
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Runs a closure that reads, in a transaction, so that all of its queries see one state.
///
/// # Errors
/// The closure's own error, or that of the database.
pub fn read_consistently<T, E: From<DbError>>(
    connection: &mut Option<DatabaseSession>,
    access: &Access,
    read: impl FnOnce(&Reading<'_>) -> Result<T, E>,
) -> Result<T, E> {
    // PostgreSQL may have been restarted since the last read.
    let session = match connection.take().filter(DatabaseSession::is_alive) {
        Some(session) => session,
        None => DatabaseSession::connect(&access.place, &access.tls, SETTINGS)?,
    };
    session.begin_unanswered(BEGIN);
    let outcome = without_panic(|| read(&Reading { connection: AnyConnection::Postgres(&session) }));
    // A read has nothing to lose.
    session.send("ROLLBACK");
    *connection = Some(session);
    outcome
}
