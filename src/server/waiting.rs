//! Why runs that are due wait: decided by the dispatcher alone, seen by everybody.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use super::model::JobId;
use super::schedule::enqueue::WaitReason;
use super::worker_state::Unready;
use crate::run::RunId;

#[cfg(test)]
mod tests;

/// Why a run waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitReasons {
    /// Why.
    pub reason: WaitReason,
    /// The workers that could have taken it and take no new runs: their titles and their own reasons.
    pub unready: Vec<(String, Unready)>,
    /// How many more of these there are.
    pub more: usize,
}

impl WaitReasons {
    /// Whether it is the same reason, be it that more or less is left of what a worker lacks.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let pairs = || self.unready.iter().zip(&other.unready);
        (self.reason, self.more, self.unready.len()) == (other.reason, other.more, other.unready.len())
            && pairs().all(|((title, why), (other, because))| title == other && why.is_like(because))
    }
}

impl fmt::Display for WaitReasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        for (at, (title, why)) in self.unready.iter().enumerate() {
            write!(f, "{} {title} {why}", if at == 0 { ":" } else { "," })?;
        }
        if self.more > 0 {
            write!(f, " and {} more take none", self.more)?;
        }
        Ok(())
    }
}

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
