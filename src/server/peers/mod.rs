//! Peers: the other servers of one database. They share all data; what is in the memory of one server and matters to the
//! others goes as [`PeerMessage`]s: orders to workers that are connected elsewhere, and what the dispatcher shows.
//!
//! - `message`: the messages and their encoding.
//! - [`lease`]: decides with the database which server dispatches.
//! - [`listener`]: follows the messages of the others.
//!
//! A message may be lost. Orders are repeated until they are followed, and a server that missed messages asks for the
//! state again.

pub mod lease;
pub mod listener;
mod message;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, watch};

use crate::server::store::{Lease, ServerId, Store};
pub use message::PeerMessage;

/// Handle to the other servers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Peers {
    /// `None` where the database has one server, such as an SQLite file.
    shared: Option<Arc<Shared>>,
    duty: Arc<watch::Sender<Duty>>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    server: ServerId,
    /// Whether another server was alive when the lease was renewed last.
    has_others: AtomicBool,
    /// Notified when the lease may be free, or lost.
    may_be_free: Notify,
    /// Notified when this server may know less than the others have told.
    is_behind: Notify,
}

/// Whether this server dispatches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// This server does, under a lease if the database is shared.
    Here(Option<Lease>),
    /// Another one does, or none that is known.
    Elsewhere,
}

impl Default for Peers {
    fn default() -> Self {
        Self::alone()
    }
}

impl Peers {
    /// Returns the handle of a server that shares its database with no other.
    #[must_use]
    pub fn alone() -> Self {
        Self { shared: None, duty: Arc::new(watch::Sender::new(Duty::Here(None))) }
    }

    /// Returns the handle of a server at a database, which may be shared.
    #[must_use]
    pub fn of(store: &Store) -> Self {
        if !store.is_shared() {
            return Self::alone();
        }
        let shared = Shared {
            store: store.clone(),
            server: ServerId::generate(),
            // Until the first renewal tells.
            has_others: AtomicBool::new(true),
            may_be_free: Notify::new(),
            is_behind: Notify::new(),
        };
        Self { shared: Some(Arc::new(shared)), duty: Arc::new(watch::Sender::new(Duty::Elsewhere)) }
    }

    /// Sends a message to the other servers. Without one that counts as alive, only what nobody repeats is sent: a server
    /// that is paused hears it when it goes on.
    pub fn send(&self, message: &PeerMessage) {
        if let Some(shared) = &self.shared
            && (shared.has_others.load(Ordering::Relaxed) || !message.is_repeated())
        {
            shared.store.send_to_servers(message.encode());
        }
    }

    /// Reports that the lease of this server is lost, so that its keeper finds out at once.
    pub fn lease_lost(&self) {
        if let Some(shared) = &self.shared {
            shared.may_be_free.notify_one();
        }
    }

    /// Returns whether this server dispatches, now and at each change.
    #[must_use]
    pub fn duty(&self) -> watch::Receiver<Duty> {
        self.duty.subscribe()
    }

    /// Returns whether this server dispatches.
    #[must_use]
    pub fn dispatches(&self) -> bool {
        matches!(*self.duty.borrow(), Duty::Here(_))
    }
}
