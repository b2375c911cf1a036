//! Orders to workers: said once here, carried by every transport that has somebody to carry them to.
//!
//! An order is a hint and is said again while nobody follows it, so one that is lost loses nothing.

use tokio::sync::broadcast;

use crate::run::{ApiKey, Order};

/// How many orders a transport may fall behind.
const ROOM: usize = 16 * 1024;

/// An order and whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressed {
    /// The worker.
    pub to: ApiKey,
    /// What it is to do.
    pub order: Order,
}

/// Where orders are given and taken. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Orders {
    sender: broadcast::Sender<Addressed>,
    arrivals: broadcast::Sender<ApiKey>,
}

impl Default for Orders {
    fn default() -> Self {
        Self { sender: broadcast::channel(ROOM).0, arrivals: broadcast::channel(ROOM).0 }
    }
}

impl Orders {
    /// Gives an order.
    pub fn give(&self, to: ApiKey, order: Order) {
        // That nobody carries it is no error: it is said again.
        let _ = self.sender.send(Addressed { to, order });
    }

    /// Takes orders from now on, to carry them.
    #[must_use]
    pub fn carry(&self) -> broadcast::Receiver<Addressed> {
        self.sender.subscribe()
    }

    /// A transport tells that a worker hears from now on: what it is to do is said to it at once.
    pub fn arrived(&self, who: ApiKey) {
        let _ = self.arrivals.send(who);
    }

    /// Who arrives from now on.
    #[must_use]
    pub fn arrivals(&self) -> broadcast::Receiver<ApiKey> {
        self.arrivals.subscribe()
    }
}
