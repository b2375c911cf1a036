//! Published silence: which workers are silent now, for handlers to read. `worker_table` decides it by the monotonic
//! clock, and `lost_workers` what becomes of their runs.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use crate::server::domain::model::WorkerId;

/// Workers that have not answered in time.
#[derive(Debug, Default)]
pub struct SilentWorkers {
    silent: RwLock<BTreeSet<WorkerId>>,
}

impl SilentWorkers {
    /// Replaces the silent workers; returns the workers of which it has changed.
    pub fn update(&self, silent: &BTreeSet<WorkerId>) -> Vec<WorkerId> {
        let mut before = self.silent.write().unwrap_or_else(PoisonError::into_inner);
        let changed: Vec<WorkerId> = before.symmetric_difference(silent).copied().collect();
        if !changed.is_empty() {
            before.clone_from(silent);
        }
        changed
    }

    /// Takes over whether a worker is silent; `true` if that is new.
    pub fn set(&self, worker: WorkerId, is_silent: bool) -> bool {
        let mut silent = self.silent.write().unwrap_or_else(PoisonError::into_inner);
        if is_silent { silent.insert(worker) } else { silent.remove(&worker) }
    }

    /// Returns all silent workers.
    #[must_use]
    pub fn all(&self) -> BTreeSet<WorkerId> {
        self.silent.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether a worker is silent.
    #[must_use]
    pub fn is_silent(&self, worker: WorkerId) -> bool {
        self.silent.read().unwrap_or_else(PoisonError::into_inner).contains(&worker)
    }
}
