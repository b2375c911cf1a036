//! Waiting runs: why each due run waits, as decided by the dispatcher alone and read by handlers.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use crate::run::RunId;
use crate::server::domain::model::JobId;
use crate::server::domain::wait_reasons::WaitReasons;

#[cfg(test)]
mod tests;

/// Due runs that wait, by their jobs, and the reasons.
#[derive(Debug, Default)]
pub struct WaitingRuns {
    of_job: RwLock<BTreeMap<JobId, BTreeMap<RunId, WaitReasons>>>,
}

impl WaitingRuns {
    /// Replaces the waiting runs of a job; returns the runs whose reason has changed or gone.
    pub fn update(&self, job: JobId, waits: BTreeMap<RunId, WaitReasons>) -> Vec<RunId> {
        let mut of_job = self.of_job.write().unwrap_or_else(PoisonError::into_inner);
        let before = of_job.remove(&job).unwrap_or_default();
        let is_new = |run: &RunId, waits: &WaitReasons| !before.get(run).is_some_and(|before| before.is_like(waits));
        let new = waits.iter().filter(|(run, waits)| is_new(run, waits));
        let over = before.keys().filter(|run| !waits.contains_key(run));
        let changed = new.map(|(run, _)| run).chain(over).copied().collect();
        if !waits.is_empty() {
            of_job.insert(job, waits);
        }
        changed
    }

    /// Forgets all waiting runs, and returns them.
    pub fn clear(&self) -> Vec<RunId> {
        let all = std::mem::take(&mut *self.of_job.write().unwrap_or_else(PoisonError::into_inner));
        all.into_values().flat_map(BTreeMap::into_keys).collect()
    }

    /// Returns all waiting runs by their jobs.
    #[must_use]
    pub fn all(&self) -> BTreeMap<JobId, BTreeMap<RunId, WaitReasons>> {
        self.of_job.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the waiting runs of a job.
    #[must_use]
    pub fn of_job(&self, job: JobId) -> BTreeMap<RunId, WaitReasons> {
        self.of_job.read().unwrap_or_else(PoisonError::into_inner).get(&job).cloned().unwrap_or_default()
    }

    /// Returns whether a run of a job waits.
    #[must_use]
    pub fn has_job(&self, job: JobId) -> bool {
        self.of_job.read().unwrap_or_else(PoisonError::into_inner).contains_key(&job)
    }

    /// Returns why a run of a job waits, if it does.
    #[must_use]
    pub fn of(&self, job: JobId, run: RunId) -> Option<WaitReasons> {
        self.of_job.read().unwrap_or_else(PoisonError::into_inner).get(&job)?.get(&run).cloned()
    }
}
