//! Servers that share one database: which of them are alive, which one dispatches, and the messages between them.
//!
//! One server at a time holds the dispatch lease: it alone decides about due runs, announces them, and marks the runs of
//! silent workers as lost. It renews the lease by the database's clock; another server takes a lease that was not renewed
//! for three seconds. A dispatcher's changes check the lease in their own transactions ([`Store::under`]), so a server that was
//! paused, and is replaced meanwhile, changes nothing any more.
//!
//! An SQLite file has one server, which needs no lease.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use super::db::{Reading, Transaction};
use super::{Store, StoreError};

#[cfg(test)]
mod tests;

/// Time without a renewal after which another server may take the dispatch lease, and after which a server counts as dead.
const LEASE: Duration = Duration::from_secs(3);
/// Time after which a dead server is forgotten.
const FORGET: Duration = Duration::from_secs(24 * 60 * 60);

/// Name of a server for as long as its process lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerId(Arc<str>);

/// Right to dispatch, as the database records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    server: ServerId,
    /// Number of the holders so far: a lease that was lost and taken again is another one.
    epoch: i64,
}

/// Outcome of a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The lease, if this server holds it.
    pub lease: Option<Lease>,
    /// Number of other servers that are alive.
    pub others: u64,
    /// Whether this server counted as alive until now. While one does not, the others may tell it nothing.
    pub was_alive: bool,
}

impl ServerId {
    /// Makes a new name, different from all others.
    #[must_use]
    pub fn generate() -> Self {
        Self(format!("{:016x}", fastrand::u64(..)).into())
    }
}

impl Store {
    /// Returns whether other servers may share the database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.db.is_shared()
    }

    /// Records that a server is alive, and renews its dispatch lease, or takes one that nobody holds.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn renew_lease(&self, server: &ServerId, address: &str) -> Result<Renewal, StoreError> {
        let (server, address) = (server.clone(), address.to_owned());
        self.change(move |transaction| renew(transaction, &server, &address)).await
    }

    /// Gives a lease up and removes the server, so that another one need not wait for the lease to end.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn leave_servers(&self, server: &ServerId) -> Result<(), StoreError> {
        let server = server.clone();
        self.change(move |transaction| {
            transaction.execute("UPDATE dispatch_lease SET server = NULL WHERE server = ?", &[&&*server.0])?;
            transaction.execute("DELETE FROM server WHERE id = ?", &[&&*server.0])?;
            Ok(())
        })
        .await
    }

    /// Returns the store for a dispatcher: its changes fail with [`StoreError::LeaseLost`] once the lease is lost.
    #[must_use]
    pub fn under(&self, lease: Option<Lease>) -> Self {
        Self { lease, ..self.clone() }
    }

    /// Sends a message to the other servers: a hint, which may be lost.
    pub fn send_to_servers(&self, message: String) {
        self.db.send_message(message);
    }

    /// Waits until there is room for one of many messages, and for others beside it.
    pub async fn await_message_room(&self) {
        self.db.await_message_room().await;
    }

    /// Receives the messages of other servers from now on.
    #[must_use]
    pub fn messages(&self) -> broadcast::Receiver<Arc<str>> {
        self.db.messages()
    }
}

const HELD: &str = "SELECT 1 FROM dispatch_lease WHERE server = ? AND epoch = ?";

/// Asks ahead for what [`check`] reads.
pub(super) fn ask_for_lease(reading: &Reading<'_>, lease: &Lease) {
    reading.ask_ahead(HELD, &[&&*lease.server.0, &lease.epoch]);
}

/// Fails if a lease is lost.
pub(super) fn check(reading: &Reading<'_>, lease: &Lease) -> Result<(), StoreError> {
    let held = reading.value::<i64>(HELD, &[&&*lease.server.0, &lease.epoch])?;
    held.map(|_| ()).ok_or(StoreError::LeaseLost)
}

fn renew(transaction: &mut Transaction<'_>, server: &ServerId, address: &str) -> Result<Renewal, StoreError> {
    let (now, id) = (transaction.clock()?, &*server.0);
    let patience = LEASE.as_micros() as i64;
    let seen = transaction.value::<i64>("SELECT seen FROM server WHERE id = ?", &[&id])?;
    transaction.execute(
        "INSERT INTO server (id, address, started, seen) VALUES (?1, ?2, ?3, ?3) \
         ON CONFLICT (id) DO UPDATE SET seen = excluded.seen",
        &[&id, &address, &now],
    )?;
    let forgotten = now - FORGET.as_micros() as i64;
    transaction.execute("DELETE FROM server WHERE seen < ?", &[&forgotten])?;
    let others = "SELECT count(*) FROM server WHERE id <> ? AND seen > ?";
    let others = transaction.value::<i64>(others, &[&id, &(now - patience)])?.unwrap_or(0);
    // A lease whose time seems to be in the future was renewed before the database's clock was set back.
    let taken = transaction.row(
        "UPDATE dispatch_lease SET server = ?1, renewed = ?2, \
         epoch = CASE WHEN server IS NOT DISTINCT FROM ?1 THEN epoch ELSE epoch + 1 END \
         WHERE server IS NULL OR server = ?1 OR renewed < ?3 OR renewed > ?4 RETURNING epoch",
        &[&id, &now, &(now - patience), &(now + patience)],
        |row| row.at(0),
    )?;
    let lease = taken.map(|epoch| Lease { server: server.clone(), epoch });
    let was_alive = seen.is_some_and(|seen| seen > now - patience);
    Ok(Renewal { lease, others: others.try_into().unwrap_or(0), was_alive })
}
