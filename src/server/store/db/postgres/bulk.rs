//! A session for the migration of a whole store, beside the threads of the engine.

use super::migration;
use super::place::Place;
use super::session::DatabaseSession;
use super::tls::Tls;
use super::writer::begin;
use super::{MIGRATING, OpenError, SchemaStep};
use crate::server::store::db::DbError;

/// Connection on which a store is made and filled.
pub struct Bulk {
    session: DatabaseSession,
}

impl Bulk {
    /// Connects to the database of a URL. Blocks, so it is not for a task.
    ///
    /// # Errors
    /// If the URL is wrong, or the database cannot be reached.
    pub fn connect(url: &str) -> Result<Self, OpenError> {
        let place: Place = url.parse()?;
        let tls = Tls::new(&place)?;
        Ok(Self { session: DatabaseSession::connect(&place, &tls, MIGRATING)? })
    }

    /// Returns the connection to the database.
    pub fn session(&self) -> &DatabaseSession {
        &self.session
    }

    /// Begins a transaction beside which no server writes, or makes the tables of a store.
    ///
    /// # Errors
    /// If the statement fails.
    pub fn begin(&self) -> Result<(), DbError> {
        self.session.begin(&begin())
    }

    /// Applies the steps of the schema that the database lacks, within the transaction.
    ///
    /// # Errors
    /// If a step fails, or the database was written by a later version of the program.
    pub fn apply(&self, steps: &[SchemaStep<'_>]) -> Result<(), OpenError> {
        migration::apply(&self.session, steps)
    }
}
