//! Connections of each worker: keeps the latest few and ends older ones.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::server::domain::model::WorkerId;

#[cfg(test)]
mod tests;

/// Maximum number of connections of one worker. It needs one; another may be half gone without the network having
/// noticed.
const OF_ONE: usize = 4;

/// Connections of each worker by their numbers, with the token that ends each; the oldest first.
#[derive(Debug, Default)]
struct UplinkTable {
    /// Number of the next connection of any worker. No number comes twice: a guard that is dropped late removes no other connection.
    next: u64,
    uplinks: HashMap<WorkerId, VecDeque<(u64, CancellationToken)>>,
}

/// Table of connections. A clone shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Uplinks(Arc<Mutex<UplinkTable>>);

/// Entry of a connection in the table, removed when this is dropped.
#[derive(Debug)]
pub(super) struct UplinkGuard {
    uplinks: Uplinks,
    worker: WorkerId,
    number: u64,
    superseded: CancellationToken,
}

impl Uplinks {
    /// Adds a connection of a worker. Where the worker has too many, its oldest is superseded.
    pub(super) fn join(&self, worker: WorkerId) -> UplinkGuard {
        let mut all = self.lock();
        let number = all.next;
        all.next += 1;
        let of_worker = all.uplinks.entry(worker).or_default();
        let superseded = CancellationToken::new();
        of_worker.push_back((number, superseded.clone()));
        if of_worker.len() > OF_ONE
            && let Some((_, oldest)) = of_worker.pop_front()
        {
            oldest.cancel();
        }
        drop(all);
        UplinkGuard { uplinks: self.clone(), worker, number, superseded }
    }

    fn lock(&self) -> MutexGuard<'_, UplinkTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UplinkGuard {
    /// Returns a token that is cancelled when enough later connections of the worker have replaced this one.
    pub(super) fn superseded(&self) -> CancellationToken {
        self.superseded.clone()
    }
}

impl Drop for UplinkGuard {
    fn drop(&mut self) {
        let uplinks = &mut self.uplinks.lock().uplinks;
        if let Some(of_worker) = uplinks.get_mut(&self.worker) {
            of_worker.retain(|(number, _)| *number != self.number);
            if of_worker.is_empty() {
                uplinks.remove(&self.worker);
            }
        }
    }
}
