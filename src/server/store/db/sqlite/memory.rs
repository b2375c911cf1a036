//! A database in memory for tests: one connection, on which all closures run one after the other on the caller's thread,
//! so that a test that is repeated sees the same sequence of them.

use std::sync::{Arc, Mutex};

use rusqlite::Connection;

use super::{AnyConnection, DbError, OpenError, Reading, Transaction, lock, migrate, run};
use crate::server::store::changes::ChangeFeed;
use crate::server::store::db::group::change_once;

/// Handle to the connection. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Memory {
    connection: Arc<Mutex<Connection>>,
    feed: ChangeFeed,
}

impl Memory {
    pub fn open(steps: &[&str], feed: ChangeFeed) -> Result<Self, OpenError> {
        let connection = Connection::open_in_memory().map_err(DbError::from)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(DbError::from)?;
        connection.set_prepared_statement_cache_capacity(super::STATEMENTS);
        migrate(&connection, steps)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), feed })
    }

    pub fn with_feed(&self, feed: ChangeFeed) -> Self {
        Self { connection: Arc::clone(&self.connection), feed }
    }

    pub fn batch(&self, sql: &str) -> Result<(), DbError> {
        Ok(lock(&self.connection).execute_batch(sql)?)
    }

    pub fn change<T, E: From<DbError>>(
        &self,
        mut change: impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = lock(&self.connection);
        run(&connection, "BEGIN IMMEDIATE")?;
        let reading = Reading { connection: AnyConnection::Sqlite(&connection) };
        let mut transaction = Transaction { reading, changes: Vec::new() };
        let outcome = change_once(&mut transaction, &mut change);
        let changes = transaction.changes;
        if outcome.is_ok()
            && let Err(e) = run(&connection, "COMMIT")
        {
            let _ = run(&connection, "ROLLBACK");
            return Err(e.into());
        }
        match &outcome {
            Ok(_) => changes.into_iter().for_each(|change| self.feed.publish(change)),
            // SQLite may have rolled back by itself.
            Err(_) => drop(run(&connection, "ROLLBACK")),
        }
        outcome
    }

    pub fn read<T, E: From<DbError>>(&self, read: impl FnOnce(&Reading<'_>) -> Result<T, E>) -> Result<T, E> {
        read(&Reading { connection: AnyConnection::Sqlite(&lock(&self.connection)) })
    }
}
