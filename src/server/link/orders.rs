//! Orders to workers: said once here, carried by every transport that has somebody to carry them to.
//!
//! An order is a hint and is said again while nobody follows it, so one that is lost loses nothing. What is said to one
//! worker wakes nobody but whoever carries for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{broadcast, mpsc};

use crate::run::{ApiKey, Order};

#[cfg(test)]
mod tests;

/// How many orders a transport that carries for everybody may fall behind.
const ROOM: usize = 16 * 1024;
/// How many orders may wait for one worker.
const ROOM_OF_ONE: usize = 1024;

/// An order and whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressed {
    /// The worker.
    pub to: ApiKey,
    /// What it is to do.
    pub order: Order,
}

/// Who carries to one worker, each by its number.
type Carriers = HashMap<ApiKey, Vec<(u64, mpsc::Sender<Addressed>)>>;

/// Where orders are given and taken. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Orders {
    everybody: broadcast::Sender<Addressed>,
    arrivals: broadcast::Sender<ApiKey>,
    carriers: Arc<Mutex<Carriers>>,
}

/// Takes the orders to one worker.
#[derive(Debug)]
pub struct Carrier {
    taken: mpsc::Receiver<Addressed>,
    _route: Route,
}

/// The way of the orders to one worker into somebody's queue, until it is dropped.
#[derive(Debug)]
pub struct Route {
    key: ApiKey,
    number: u64,
    orders: Orders,
}

impl Default for Orders {
    fn default() -> Self {
        let (everybody, arrivals) = (broadcast::channel(ROOM).0, broadcast::channel(ROOM).0);
        Self { everybody, arrivals, carriers: Arc::default() }
    }
}

impl Orders {
    /// Gives an order. That nobody carries it, or nobody can take it now, is no error: it is said again.
    pub fn give(&self, to: ApiKey, order: Order) {
        for (_, carrier) in self.carriers().get(&to).into_iter().flatten() {
            let _ = carrier.try_send(Addressed { to: to.clone(), order });
        }
        let _ = self.everybody.send(Addressed { to, order });
    }

    /// Takes orders to everybody from now on, to carry them.
    #[must_use]
    pub fn carry(&self) -> broadcast::Receiver<Addressed> {
        self.everybody.subscribe()
    }

    /// Takes orders to one worker from now on.
    #[must_use]
    pub fn carry_to(&self, key: ApiKey) -> Carrier {
        let (sender, taken) = mpsc::channel(ROOM_OF_ONE);
        Carrier { taken, _route: self.route(key, sender) }
    }

    /// Has the orders to one worker put into a queue from now on; those that it has no room for are said again.
    #[must_use]
    pub fn route(&self, key: ApiKey, into: mpsc::Sender<Addressed>) -> Route {
        let mut carriers = self.carriers();
        let of_one = carriers.entry(key.clone()).or_default();
        let number = of_one.last().map_or(0, |(number, _)| number + 1);
        of_one.push((number, into));
        drop(carriers);
        Route { key, number, orders: self.clone() }
    }

    fn carriers(&self) -> std::sync::MutexGuard<'_, Carriers> {
        self.carriers.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Carrier {
    /// The next order; nothing if there will be none.
    pub async fn next(&mut self) -> Option<Order> {
        self.taken.recv().await.map(|carried| carried.order)
    }
}

impl Route {
    /// The worker.
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
