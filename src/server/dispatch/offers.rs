//! Announcements under way: who was told of which run, and which runs wait for a free seat. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::run::RunId;
use crate::server::model::{Instant, JobId, PoolId, WorkerId};

#[cfg(test)]
mod tests;

/// How often a run is announced before its seat is given away: whoever was told may have nothing to say to it.
const PROMISES: u32 = 3;

/// Announcements under way.
#[derive(Debug, Default)]
pub(super) struct Offers {
    told: HashMap<RunId, Told>,
    of_job: HashMap<JobId, BTreeSet<RunId>>,
    promised: HashMap<WorkerId, u32>,
    of_worker: HashMap<WorkerId, BTreeSet<RunId>>,
    seatless: BTreeMap<PoolId, BTreeSet<(Instant, RunId, JobId)>>,
}

#[derive(Debug)]
struct Told {
    job: JobId,
    /// Who was told last.
    last: WorkerId,
    /// Who was told since everybody was.
    all: BTreeSet<WorkerId>,
    /// How often somebody was told.
    times: u32,
}

impl Offers {
    /// Whoever was told of a run, since everybody was.
    pub fn told(&self, run: RunId) -> BTreeSet<WorkerId> {
        self.told.get(&run).map(|told| told.all.clone()).unwrap_or_default()
    }

    /// A worker is told of a run of a job.
    pub fn tell(&mut self, run: RunId, job: JobId, worker: WorkerId) {
        let (mut all, before) = self.forget(run).map(|told| (told.all, told.times)).unwrap_or_default();
        let times = before.saturating_add(1);
        if !all.insert(worker) {
            all = BTreeSet::from([worker]);
        }
        self.told.insert(run, Told { job, last: worker, all, times });
        self.of_job.entry(job).or_default().insert(run);
        self.of_worker.entry(worker).or_default().insert(run);
        if times <= PROMISES {
            *self.promised.entry(worker).or_default() += 1;
        }
    }

    /// A run is announced no more; its job, if it was.
    pub fn end(&mut self, run: RunId) -> Option<JobId> {
        self.forget(run).map(|told| told.job)
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
        self.told.get(&run).map(|told| told.job)
    }

    /// What a worker was told and has not claimed.
    pub fn of_worker(&self, worker: WorkerId) -> Vec<RunId> {
        self.of_worker.get(&worker).into_iter().flatten().copied().collect()
    }

    /// How many seats of a worker are kept for runs that nobody has claimed.
    pub fn promised(&self, worker: WorkerId) -> u32 {
        self.promised.get(&worker).copied().unwrap_or(0)
    }

    /// A run waits until a pool has a seat; `true` if it did not already.
    pub fn wait_for_seat(&mut self, pool: PoolId, due: Instant, run: RunId, job: JobId) -> bool {
        self.seatless.entry(pool).or_default().insert((due, run, job))
    }

    /// The pools in which runs wait for a seat.
    pub fn waiting_pools(&self) -> Vec<PoolId> {
        self.seatless.keys().copied().collect()
    }

    /// Takes out the runs of a pool that have waited longest for a seat; answers with their jobs.
    pub fn seat(&mut self, pool: PoolId, seats: usize) -> Vec<JobId> {
        let Some(waiting) = self.seatless.get_mut(&pool) else { return Vec::new() };
        let mut jobs = Vec::new();
        while jobs.len() < seats
            && let Some((_, _, job)) = waiting.pop_first()
        {
            jobs.push(job);
        }
        if waiting.is_empty() {
            self.seatless.remove(&pool);
        }
        jobs
    }

    fn forget(&mut self, run: RunId) -> Option<Told> {
        let told = self.told.remove(&run)?;
        take_out(&mut self.of_job, told.job, run);
        take_out(&mut self.of_worker, told.last, run);
        if told.times <= PROMISES
            && let Some(promised) = self.promised.get_mut(&told.last)
        {
            *promised -= 1;
            if *promised == 0 {
                self.promised.remove(&told.last);
            }
        }
        Some(told)
    }
}

fn take_out<K: std::hash::Hash + Eq>(map: &mut HashMap<K, BTreeSet<RunId>>, key: K, run: RunId) {
    if let Some(runs) = map.get_mut(&key) {
        runs.remove(&run);
        if runs.is_empty() {
            map.remove(&key);
        }
    }
}
