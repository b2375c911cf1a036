//! The connections of each worker: a few of them, the latest.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::server::domain::model::WorkerId;

/// How many connections one worker may have. It needs one; another may be half gone, while the network has not noticed.
const OF_ONE: usize = 4;

/// The connections of each worker by their numbers, and what ends each; the oldest first.
type OfWorkers = HashMap<WorkerId, VecDeque<(u64, CancellationToken)>>;

/// Which connections there are, the oldest of each worker first. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Uplinks(Arc<Mutex<OfWorkers>>);

/// A connection; taken off the list when it is dropped.
#[derive(Debug)]
pub(super) struct UplinkGuard {
    lines: Uplinks,
    worker: WorkerId,
    number: u64,
    superseded: CancellationToken,
}

impl Uplinks {
    /// One more connection of a worker. Where it has too many, its oldest is superseded.
    pub(super) fn join(&self, worker: WorkerId) -> UplinkGuard {
        let mut lines = self.lock();
        let of_worker = lines.entry(worker).or_default();
        let number = of_worker.back().map_or(0, |(number, _)| number + 1);
        let superseded = CancellationToken::new();
        of_worker.push_back((number, superseded.clone()));
        if of_worker.len() > OF_ONE
            && let Some((_, oldest)) = of_worker.pop_front()
        {
            oldest.cancel();
        }
        drop(lines);
        UplinkGuard { lines: self.clone(), worker, number, superseded }
    }

    fn lock(&self) -> MutexGuard<'_, OfWorkers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UplinkGuard {
    /// Cancelled when the worker has connected again often enough.
    pub(super) fn superseded(&self) -> CancellationToken {
        self.superseded.clone()
    }
}

impl Drop for UplinkGuard {
    fn drop(&mut self) {
        let mut lines = self.lines.lock();
        if let Some(of_worker) = lines.get_mut(&self.worker) {
            of_worker.retain(|(number, _)| *number != self.number);
            if of_worker.is_empty() {
                lines.remove(&self.worker);
            }
        }
    }
}
