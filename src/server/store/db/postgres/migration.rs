//! Versions of the schema: applies the steps that a database lacks, once, however many servers start at the same time.

use super::session::DatabaseSession;
use super::writer::begin;
use crate::server::store::db::{DbError, OpenError, SchemaStep};

/// Tables of the engine itself. `group_commit` tells a server whose answer to a commit was lost whether it was made.
const OWN_TABLES: &str = "
    CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL, readable_from BIGINT NOT NULL);
    CREATE TABLE IF NOT EXISTS group_commit (
        writer BIGINT PRIMARY KEY, number BIGINT NOT NULL, made TIMESTAMPTZ NOT NULL
    ) WITH (fillfactor = 10);
    DELETE FROM group_commit WHERE made < now() - INTERVAL '30 days';";

/// Applies the steps that the database lacks.
///
/// # Errors
/// If a step fails, or the database was written by a later version of the program that this one does not understand.
pub fn migrate(session: &DatabaseSession, steps: &[SchemaStep<'_>]) -> Result<(), OpenError> {
    // Two servers that start at once do it one after the other.
    session.batch_without_deadline(&begin())?;
    let outcome = apply(session, steps);
    match &outcome {
        Ok(()) => session.batch_without_deadline("COMMIT")?,
        Err(_) => session.send("ROLLBACK"),
    }
    outcome
}

/// Applies the steps within the caller's transaction.
///
/// # Errors
/// As [`migrate`].
pub fn apply(session: &DatabaseSession, steps: &[SchemaStep<'_>]) -> Result<(), OpenError> {
    session.batch(OWN_TABLES)?;
    let found = session.rows("SELECT version, readable_from FROM schema_version", &[])?;
    let number = |index| found.first().map_or(Ok(0), |row| super::values::column::<i64>(row, index));
    let (version, readable_from) = (number(0)?, number(1)?);
    let known = steps.len();
    if usize::try_from(readable_from).map_or(true, |from| from > known) {
        return Err(OpenError::Newer { found: version, known });
    }
    let from = usize::try_from(version).map_err(|_| DbError::Strange("the version".to_owned()))?;
    let Some(lacking) = steps.get(from..).filter(|lacking| !lacking.is_empty()) else { return Ok(()) };
    for step in lacking {
        session.batch_without_deadline(step.sql)?;
    }
    let readable_from = steps.iter().map(|step| step.readable_from).max().unwrap_or_default();
    session
        .batch(&format!("DELETE FROM schema_version; INSERT INTO schema_version VALUES ({known}, {readable_from});"))?;
    Ok(())
}
