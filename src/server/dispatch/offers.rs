//! Offers: announcements that are open, and runs that wait for a free slot. Pure.
//!
//! A run that is announced for the first time keeps a slot of its worker until it is announced again: the worker may
//! never answer, so from then on the run competes for slots that are really free.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::run::RunId;
use crate::server::domain::model::{JobId, PoolId, Timestamp, WorkerId};

#[cfg(test)]
mod tests;

/// Announcements that are open, with indexes by job, worker and pool.
#[derive(Debug, Default)]
pub(super) struct Offers {
    open: HashMap<RunId, Open>,
    of_job: HashMap<JobId, BTreeSet<RunId>>,
    of_worker: HashMap<WorkerId, BTreeSet<RunId>>,
    /// Runs for which each worker keeps a slot.
    promised: HashMap<WorkerId, BTreeSet<RunId>>,
    /// Runs that wait for a slot of each pool, the earliest due first.
    waiting: BTreeMap<PoolId, BTreeSet<(Timestamp, RunId)>>,
    /// Whether a slot that was kept has become free since the last [`Offers::take_freed`].
    freed: bool,
}

/// A run that may run and that no worker has claimed.
#[derive(Debug)]
struct Open {
    job: JobId,
    /// Workers to which the run was announced in this round; a round ends when each of the pool had its turn.
    announced_to: BTreeSet<WorkerId>,
    stands: Stands,
}

/// Progress of an open run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// The run was announced to a worker.
    Announced(WorkerId),
    /// The run waits for a free slot in a pool, since its due time.
    Waits(PoolId, Timestamp),
}

impl Offers {
    /// Returns the workers to which a run was announced in this round.
    pub fn announced_to(&self, run: RunId) -> BTreeSet<WorkerId> {
        self.open.get(&run).map(|open| open.announced_to.clone()).unwrap_or_default()
    }

    /// Returns the worker that a run was announced to last, unless it waits for a slot since.
    pub fn last_announced_to(&self, run: RunId) -> Option<WorkerId> {
        match self.open.get(&run)?.stands {
            Stands::Announced(worker) => Some(worker),
            Stands::Waits(..) => None,
        }
    }

    /// Returns whether a run was announced already, and no worker has claimed it since.
    pub fn is_repeated(&self, run: RunId) -> bool {
        self.open.get(&run).is_some_and(|open| matches!(open.stands, Stands::Announced(_)))
    }

    /// Records that a run is announced to a worker; keeps a slot for it if this is the first time.
    pub fn announce(&mut self, run: RunId, job: JobId, worker: WorkerId) {
        let is_repeated = self.is_repeated(run);
        let mut announced_to = self.forget(run).map(|open| open.announced_to).unwrap_or_default();
        // A second announcement to a worker begins a new round: no better worker was left.
        if !announced_to.insert(worker) {
            announced_to = BTreeSet::from([worker]);
        }
        self.put(run, Open { job, announced_to, stands: Stands::Announced(worker) });
        if !is_repeated {
            self.promised.entry(worker).or_default().insert(run);
        }
    }

    /// Releases the slot that a run keeps; the run stays announced.
    pub fn release(&mut self, run: RunId) {
        if let Some(Open { stands: Stands::Announced(worker), .. }) = self.open.get(&run) {
            self.freed |= take_out(&mut self.promised, *worker, run);
        }
    }

    /// Closes the offer of a run, if there is one.
    pub fn end(&mut self, run: RunId) {
        self.forget(run);
    }

    /// Returns whether a run of a job has an open offer.
    pub fn has_job(&self, job: JobId) -> bool {
        self.of_job.contains_key(&job)
    }

    /// Closes the offers of all other runs of a job; returns the runs that were closed.
    pub fn only(&mut self, job: JobId, runs: &BTreeSet<RunId>) -> Vec<RunId> {
        let before = self.of_job.get(&job).into_iter().flatten();
        let over: Vec<_> = before.filter(|run| !runs.contains(run)).copied().collect();
        for run in &over {
            self.forget(*run);
        }
        over
    }

    /// Returns the job of a run with an open offer.
    pub fn job(&self, run: RunId) -> Option<JobId> {
        self.open.get(&run).map(|open| open.job)
    }

    /// Returns the jobs of all runs with open offers.
    pub fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.of_job.keys().copied()
    }

    /// Returns the runs that were announced to a worker and that no worker has claimed.
    pub fn of_worker(&self, worker: WorkerId) -> Vec<RunId> {
        self.of_worker.get(&worker).into_iter().flatten().copied().collect()
    }

    /// Returns the number of slots that a worker keeps for announced runs.
    pub fn promised(&self, worker: WorkerId) -> u32 {
        self.promised.get(&worker).map_or(0, |runs| u32::try_from(runs.len()).unwrap_or(u32::MAX))
    }

    /// Records that a run waits for a free slot in a pool; `true` if it did not already.
    pub fn wait_for_slot(&mut self, pool: PoolId, due: Timestamp, run: RunId, job: JobId) -> bool {
        let stands = Stands::Waits(pool, due);
        let before = self.forget(run);
        let waited = before.as_ref().is_some_and(|open| open.stands == stands);
        self.put(run, Open { job, announced_to: before.map(|open| open.announced_to).unwrap_or_default(), stands });
        !waited
    }

    /// Returns the pools in which runs wait for a slot.
    pub fn waiting_pools(&self) -> Vec<PoolId> {
        self.waiting.keys().copied().collect()
    }

    /// Returns the runs of a pool that have waited longest for a slot, with their jobs. They stay in the queue until
    /// they are announced, or may not run any more.
    pub fn longest_waiting(&self, pool: PoolId, runs: usize) -> Vec<(RunId, JobId)> {
        let waiting = self.waiting.get(&pool).into_iter().flatten().take(runs);
        waiting.filter_map(|(_, run)| Some((*run, self.open.get(run)?.job))).collect()
    }

    /// Returns whether a slot that was kept has become free since the last call.
    pub fn take_freed(&mut self) -> bool {
        std::mem::take(&mut self.freed)
    }

    /// Returns whether a slot that was kept has become free.
    pub fn has_freed(&self) -> bool {
        self.freed
    }

    fn put(&mut self, run: RunId, open: Open) {
        self.of_job.entry(open.job).or_default().insert(run);
        match open.stands {
            Stands::Announced(worker) => self.of_worker.entry(worker).or_default().insert(run),
            Stands::Waits(pool, due) => self.waiting.entry(pool).or_default().insert((due, run)),
        };
        self.open.insert(run, open);
    }

    fn forget(&mut self, run: RunId) -> Option<Open> {
        let open = self.open.remove(&run)?;
        take_out(&mut self.of_job, open.job, run);
        match open.stands {
            Stands::Announced(worker) => {
                take_out(&mut self.of_worker, worker, run);
                self.freed |= take_out(&mut self.promised, worker, run);
            }
            Stands::Waits(pool, due) => {
                if let Some(waiting) = self.waiting.get_mut(&pool) {
                    waiting.remove(&(due, run));
                    if waiting.is_empty() {
                        self.waiting.remove(&pool);
                    }
                }
            }
        }
        Some(open)
    }
}

/// Removes a run from a set of a map; `true` if it was in it.
fn take_out<K: std::hash::Hash + Eq>(map: &mut HashMap<K, BTreeSet<RunId>>, key: K, run: RunId) -> bool {
    let Some(runs) = map.get_mut(&key) else { return false };
    let was_in = runs.remove(&run);
    if runs.is_empty() {
        map.remove(&key);
    }
    was_in
}
