//! Which workers are silent: decided by the dispatcher alone, on a clock that nobody sets, and seen by everybody.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use crate::server::domain::model::WorkerId;

/// The workers that do not answer, though they had time to.
#[derive(Debug, Default)]
pub struct Presence {
    silent: RwLock<BTreeSet<WorkerId>>,
}

impl Presence {
    /// Takes over who is silent now. Answers with the workers of which that has changed.
    pub fn update(&self, silent: &BTreeSet<WorkerId>) -> Vec<WorkerId> {
        let mut before = self.silent.write().unwrap_or_else(PoisonError::into_inner);
        let changed: Vec<WorkerId> = before.symmetric_difference(silent).copied().collect();
        if !changed.is_empty() {
            before.clone_from(silent);
        }
        changed
    }

    /// Whether a worker is silent.
    #[must_use]
    pub fn is_silent(&self, worker: WorkerId) -> bool {
        self.silent.read().unwrap_or_else(PoisonError::into_inner).contains(&worker)
    }
}
