//! Announcements under way: who was told of which run, and which runs wait for a free slot. Pure.
//!
//! A run that is first told of keeps a slot of its worker until it is told of again: whoever was told may have nothing to
//! say to it, so from then on it competes for what is really free.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::run::RunId;
use crate::server::domain::model::{JobId, PoolId, Timestamp, WorkerId};

#[cfg(test)]
mod tests;

/// Announcements under way.
#[derive(Debug, Default)]
pub(super) struct Offers {
    open: HashMap<RunId, Open>,
    of_job: HashMap<JobId, BTreeSet<RunId>>,
    of_worker: HashMap<WorkerId, BTreeSet<RunId>>,
    promised: HashMap<WorkerId, BTreeSet<RunId>>,
    waiting: BTreeMap<PoolId, BTreeSet<(Timestamp, RunId)>>,
    /// Whether a slot was kept for a run that does not keep it any more.
    freed: bool,
}

/// A run that may run and that nobody has claimed.
#[derive(Debug)]
struct Open {
    job: JobId,
    /// Who was told since everybody was.
    told: BTreeSet<WorkerId>,
    stands: Stands,
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// A worker was told.
    Told(WorkerId),
    /// It waits until a pool has a free slot; since it is due.
    Waits(PoolId, Timestamp),
}

impl Offers {
    /// Whoever was told of a run, since everybody was.
    pub fn told(&self, run: RunId) -> BTreeSet<WorkerId> {
        self.open.get(&run).map(|open| open.told.clone()).unwrap_or_default()
    }

    /// Who was told of a run last, and has not claimed it.
    pub fn last_told(&self, run: RunId) -> Option<WorkerId> {
        match self.open.get(&run)?.stands {
            Stands::Told(worker) => Some(worker),
            Stands::Waits(..) => None,
        }
    }

    /// Whether somebody was told of a run, and nobody has claimed it since.
    pub fn is_repeated(&self, run: RunId) -> bool {
        self.open.get(&run).is_some_and(|open| matches!(open.stands, Stands::Told(_)))
    }

    /// A worker is told of a run of a job, and keeps a slot for it if nobody was told before.
    pub fn tell(&mut self, run: RunId, job: JobId, worker: WorkerId) {
        let is_repeated = self.is_repeated(run);
        let mut told = self.forget(run).map(|open| open.told).unwrap_or_default();
        if !told.insert(worker) {
            told = BTreeSet::from([worker]);
        }
        self.put(run, Open { job, told, stands: Stands::Told(worker) });
        if !is_repeated {
            self.promised.entry(worker).or_default().insert(run);
        }
    }

    /// A run that somebody was told of keeps its slot no longer.
    pub fn release(&mut self, run: RunId) {
        if let Some(Open { stands: Stands::Told(worker), .. }) = self.open.get(&run) {
            self.freed |= take_out(&mut self.promised, *worker, run);
        }
    }

    /// A run is announced no more; its job, if it was.
    pub fn end(&mut self, run: RunId) -> Option<JobId> {
        self.forget(run).map(|open| open.job)
    }

    /// Only these runs of a job are announced from now on; answers with those that no longer are.
    pub fn only(&mut self, job: JobId, runs: &BTreeSet<RunId>) -> Vec<RunId> {
        let before = self.of_job.get(&job).into_iter().flatten();
        let over: Vec<_> = before.filter(|run| !runs.contains(run)).copied().collect();
        for run in &over {
            self.forget(*run);
        }
        over
    }

    /// The job of a run that is announced.
    pub fn job(&self, run: RunId) -> Option<JobId> {
        self.open.get(&run).map(|open| open.job)
    }

    /// The jobs of all runs that are announced.
    pub fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.of_job.keys().copied()
    }

    /// What a worker was told and has not claimed.
    pub fn of_worker(&self, worker: WorkerId) -> Vec<RunId> {
        self.of_worker.get(&worker).into_iter().flatten().copied().collect()
    }

    /// How many slots of a worker are kept for runs that nobody has claimed.
    pub fn promised(&self, worker: WorkerId) -> u32 {
        self.promised.get(&worker).map_or(0, |runs| u32::try_from(runs.len()).unwrap_or(u32::MAX))
    }

    /// A run waits until a pool has a free slot; `true` if it did not already.
    pub fn wait_for_slot(&mut self, pool: PoolId, due: Timestamp, run: RunId, job: JobId) -> bool {
        let stands = Stands::Waits(pool, due);
        let before = self.forget(run);
        let waited = before.as_ref().is_some_and(|open| open.stands == stands);
        self.put(run, Open { job, told: before.map(|open| open.told).unwrap_or_default(), stands });
        !waited
    }

    /// The pools in which runs wait for a slot.
    pub fn waiting_pools(&self) -> Vec<PoolId> {
        self.waiting.keys().copied().collect()
    }

    /// The runs of a pool that have waited longest for a slot, with their jobs. They wait on until they are told of, or
    /// are not to run any more.
    pub fn longest_waiting(&self, pool: PoolId, runs: usize) -> Vec<(RunId, JobId)> {
        let waiting = self.waiting.get(&pool).into_iter().flatten().take(runs);
        waiting.filter_map(|(_, run)| Some((*run, self.open.get(run)?.job))).collect()
    }

    /// Whether a slot that was kept is free again, since this was asked last.
    pub fn take_freed(&mut self) -> bool {
        std::mem::take(&mut self.freed)
    }

    /// Whether a slot that was kept is free again.
    pub fn has_freed(&self) -> bool {
        self.freed
    }

    fn put(&mut self, run: RunId, open: Open) {
        self.of_job.entry(open.job).or_default().insert(run);
        match open.stands {
            Stands::Told(worker) => self.of_worker.entry(worker).or_default().insert(run),
            Stands::Waits(pool, due) => self.waiting.entry(pool).or_default().insert((due, run)),
        };
        self.open.insert(run, open);
    }

    fn forget(&mut self, run: RunId) -> Option<Open> {
        let open = self.open.remove(&run)?;
        take_out(&mut self.of_job, open.job, run);
        match open.stands {
            Stands::Told(worker) => {
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

/// Takes a run out of a set; `true` if it was in it.
fn take_out<K: std::hash::Hash + Eq>(map: &mut HashMap<K, BTreeSet<RunId>>, key: K, run: RunId) -> bool {
    let Some(runs) = map.get_mut(&key) else { return false };
    let was_in = runs.remove(&run);
    if runs.is_empty() {
        map.remove(&key);
    }
    was_in
}
