//! Orders to workers: passes each order to every transport that has a connection of the worker.
//!
//! An order is a hint and is repeated until the worker acts, so a lost one does no harm. An order to one worker wakes
//! only the tasks that carry for this worker.
//!
//! Where several servers share a database, the worker may be connected to another one, so each order goes to all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{broadcast, mpsc};

use crate::run::{ApiKey, Order};
use crate::server::peers::{PeerMessage, Peers};

#[cfg(test)]
mod tests;

/// Orders that a receiver of all orders may fall behind before it misses some; likewise arrivals.
const ROOM: usize = 16 * 1024;
/// Orders that may wait for one connection of a worker.
const ROOM_OF_ONE: usize = 1024;

/// An order and its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressed {
    /// Key of the worker.
    pub to: ApiKey,
    /// Order for the worker.
    pub order: Order,
}

/// Queues of the connections of each worker, with a number to remove them by.
type Carriers = HashMap<ApiKey, Vec<(u64, mpsc::Sender<Addressed>)>>;

/// Handle to the orders; cheap to clone.
#[derive(Clone, Debug)]
pub struct Orders {
    everybody: broadcast::Sender<Addressed>,
    arrivals: broadcast::Sender<ApiKey>,
    carriers: Arc<Mutex<Carriers>>,
    peers: Peers,
}

/// Receiver of the orders to one worker.
#[derive(Debug)]
pub struct Carrier {
    taken: mpsc::Receiver<Addressed>,
    _route: Route,
}

/// Registration of a queue for the orders to one worker; dropped, it ends.
#[derive(Debug)]
pub struct Route {
    key: ApiKey,
    number: u64,
    orders: Orders,
}

impl Default for Orders {
    fn default() -> Self {
        Self::with(Peers::alone())
    }
}

impl Orders {
    /// Creates the orders of a server with such peers.
    #[must_use]
    pub fn with(peers: Peers) -> Self {
        let (everybody, arrivals) = (broadcast::channel(ROOM).0, broadcast::channel(ROOM).0);
        Self { everybody, arrivals, carriers: Arc::default(), peers }
    }

    /// Sends an order to a worker, whichever server it is connected to. An order that no transport carries, or that a
    /// full queue drops, is no error: it is repeated.
    pub fn send(&self, to: ApiKey, order: Order) {
        self.peers.send(&PeerMessage::Order(to.clone(), order));
        self.deliver(to, order);
    }

    /// Passes an order to the connections of its worker at this server.
    pub fn deliver(&self, to: ApiKey, order: Order) {
        for (_, carrier) in self.carriers().get(&to).into_iter().flatten() {
            // A full queue belongs to a slow connection; waiting for it would delay all other workers.
            let _ = carrier.try_send(Addressed { to: to.clone(), order });
        }
        let _ = self.everybody.send(Addressed { to, order });
    }

    /// Receives the orders to all workers from now on.
    #[must_use]
    pub fn carry(&self) -> broadcast::Receiver<Addressed> {
        self.everybody.subscribe()
    }

    /// Receives the orders to one worker from now on, in a queue of its own.
    #[must_use]
    pub fn carry_to(&self, key: ApiKey) -> Carrier {
        let (sender, taken) = mpsc::channel(ROOM_OF_ONE);
        Carrier { taken, _route: self.route(key, sender) }
    }

    /// Registers a queue for the orders to one worker; orders that it has no room for are dropped, and repeated later.
    #[must_use]
    pub fn route(&self, key: ApiKey, into: mpsc::Sender<Addressed>) -> Route {
        let mut carriers = self.carriers();
        let of_one = carriers.entry(key.clone()).or_default();
        // The queues stay in the order of their numbers, so the last has the largest, and the new number is free.
        let number = of_one.last().map_or(0, |(number, _)| number + 1);
        of_one.push((number, into));
        drop(carriers);
        Route { key, number, orders: self.clone() }
    }

    fn carriers(&self) -> std::sync::MutexGuard<'_, Carriers> {
        self.carriers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports that a worker receives orders from now on: the dispatcher repeats at once those that are open for it.
    pub fn arrived(&self, who: ApiKey) {
        self.peers.send(&PeerMessage::Arrived(who.clone()));
        self.arrived_elsewhere(who);
    }

    /// Takes in that a worker receives orders from now on through another server.
    pub fn arrived_elsewhere(&self, who: ApiKey) {
        let _ = self.arrivals.send(who);
    }

    /// Receives the keys of workers that arrive from now on.
    #[must_use]
    pub fn arrivals(&self) -> broadcast::Receiver<ApiKey> {
        self.arrivals.subscribe()
    }
}

impl Carrier {
    /// Waits for the next order; `None` if there will be none.
    pub async fn next(&mut self) -> Option<Order> {
        self.taken.recv().await.map(|carried| carried.order)
    }

    /// Returns the next order if one waits already.
    pub fn try_next(&mut self) -> Option<Order> {
        self.taken.try_recv().ok().map(|carried| carried.order)
    }
}

impl Route {
    /// Key of the worker.
    #[must_use]
    pub fn key(&self) -> &ApiKey {
        &self.key
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        let mut carriers = self.orders.carriers();
        if let Some(of_one) = carriers.get_mut(&self.key) {
            of_one.retain(|(number, _)| *number != self.number);
            if of_one.is_empty() {
                carriers.remove(&self.key);
            }
        }
    }
}
