//! Why runs that are due wait: decided by the dispatcher alone, seen by everybody.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use crate::run::RunId;
use crate::server::domain::model::JobId;
use crate::server::domain::wait_reasons::WaitReasons;

#[cfg(test)]
mod tests;

/// Which runs wait, and why.
#[derive(Debug, Default)]
pub struct WaitingRuns {
    of_job: RwLock<BTreeMap<JobId, BTreeMap<RunId, WaitReasons>>>,
}

impl WaitingRuns {
    /// Takes over which runs of a job wait now; answers with those of which the reason has changed, or is over.
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

    /// Why a run of a job waits, if it does.
    #[must_use]
    pub fn of(&self, job: JobId, run: RunId) -> Option<WaitReasons> {
        self.of_job.read().unwrap_or_else(PoisonError::into_inner).get(&job)?.get(&run).cloned()
    }
}
