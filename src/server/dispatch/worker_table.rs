//! The workers: who is there, who has a free seat, who has fallen silent. Pure.
//!
//! Whether a worker answers is told by the clock that nobody sets: what counts is when we heard of an answer,
//! not what time the worker wrote into it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::timers::Timers;
use crate::run::{ApiKey, RunId};
use crate::server::domain::model::{self, PoolId, WorkerId};
use crate::server::domain::schedule::enqueue::{Availability, Concerns, WaitReason};
use crate::server::domain::wait_reasons::WaitReasons;
use crate::server::domain::worker_state::{self, Unready, takes_runs};
use crate::server::store::{Claim, WorkerSnapshot};

#[cfg(test)]
mod tests;

/// How many workers are named that take no new runs.
const NAMED: usize = 8;

/// All workers.
#[derive(Debug)]
pub(super) struct WorkerTable {
    members: BTreeMap<WorkerId, Member>,
    keys: HashMap<ApiKey, WorkerId>,
    availability: Availability,
    disabled: [Vec<i64>; 3],
    /// How long a worker may be silent.
    patience: Duration,
    silence: Timers<WorkerId>,
    /// The claims that were heard of, by their runs: when their workers say that they were made.
    claims: BTreeMap<RunId, i64>,
}

#[derive(Debug)]
struct Member {
    key: ApiKey,
    title: String,
    /// How many runs it does at once, as far as it said.
    seats: Option<u32>,
    /// Why it takes no new runs, as far as it said.
    unready: Option<Unready>,
    /// When it wrote and when we heard its last answer, to see that there is another.
    answer: (Option<model::Timestamp>, Option<model::Timestamp>),
}

/// Who is to be told of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkerChoice {
    /// This one.
    Tell(WorkerId),
    /// This one, though it has not answered: nobody has.
    TellSilent(WorkerId),
    /// This one, though it claims no runs for now: nobody else would.
    TellHolding(WorkerId),
    /// Everybody has enough to do.
    NoSeat,
    /// Nobody is there.
    Nobody,
}

impl WorkerTable {
    /// Nobody yet.
    pub fn new(patience: Duration) -> Self {
        Self {
            members: BTreeMap::new(),
            keys: HashMap::new(),
            availability: Availability::default(),
            disabled: Default::default(),
            patience,
            silence: Timers::new(),
            claims: BTreeMap::new(),
        }
    }

    /// Takes over who is there; `true` if more has changed than that somebody answered as always.
    pub fn update(&mut self, snapshot: WorkerSnapshot, now: Instant) -> bool {
        let mut members = BTreeMap::new();
        let (mut enabled, mut resting) = (BTreeSet::new(), BTreeSet::new());
        let mut news = false;
        for worker in snapshot.workers {
            let before = self.members.remove(&worker.id);
            let seats = worker.concurrent_jobs;
            let unready = worker_state::unready(&worker, false);
            news |= before.as_ref().is_none_or(|before| before.seats != seats || !before.is_as_ready(unready.as_ref()));
            // Who is new to us has until the end of its patience, and so has everybody after our own start.
            let answer = (worker.ping_response_dts, worker.heard_dts);
            if before.is_none_or(|before| before.answer != answer) {
                news |= self.hear(worker.id, now);
            }
            if worker.enqueue_is_enabled {
                enabled.insert(worker.id);
            }
            if !takes_runs(&worker) {
                resting.insert(worker.id);
            }
            members.insert(worker.id, Member { key: worker.api_key, title: worker.title, seats, unready, answer });
        }
        for gone in self.members.keys() {
            news = true;
            self.silence.cancel(*gone);
            self.availability.silent.remove(gone);
        }
        news |= self.availability.enabled != enabled
            || self.availability.resting != resting
            || self.availability.pools != snapshot.pools;
        news |= self.disabled != snapshot.disabled;
        self.keys = members.iter().map(|(id, member)| (member.key.clone(), *id)).collect();
        (self.members, self.availability.enabled, self.availability.pools) = (members, enabled, snapshot.pools);
        self.availability.resting = resting;
        self.disabled = snapshot.disabled;
        news
    }

    /// A worker was heard of; `true` if it was silent.
    pub fn hear(&mut self, worker: WorkerId, now: Instant) -> bool {
        self.silence.set(worker, now + self.patience);
        self.availability.silent.remove(&worker)
    }

    /// A run was claimed: who claims is there, whatever it says to pings; `true` if it was silent.
    pub fn hear_of_claim(&mut self, claim: &Claim, now: Instant) -> bool {
        self.claims.insert(claim.run, claim.at) != Some(claim.at) && self.hear(claim.worker, now)
    }

    /// Takes over which claims there are, where some may have been missed; `true` if a worker was silent that made one.
    pub fn hear_of_claims(&mut self, claims: &[Claim], now: Instant) -> bool {
        let open: BTreeSet<RunId> = claims.iter().map(|claim| claim.run).collect();
        self.claims.retain(|run, _| open.contains(run));
        // All of them are heard, also after one that was silent.
        claims.iter().filter(|claim| self.hear_of_claim(claim, now)).count() > 0
    }

    /// A run is over, or nobody's any more.
    pub fn end_claim(&mut self, run: RunId) {
        self.claims.remove(&run);
    }

    /// Everybody has patience anew who is not silent yet: nobody's answers could be recorded.
    pub fn hear_everybody(&mut self, now: Instant) {
        for worker in self.members.keys() {
            if !self.availability.silent.contains(worker) {
                self.silence.set(*worker, now + self.patience);
            }
        }
    }

    /// Somebody who has been silent for too long, and was not before.
    pub fn falls_silent(&self, now: Instant) -> Option<WorkerId> {
        self.silence.due(now)
    }

    /// What follows from its silence is done: a worker is silent from now on.
    pub fn fell_silent(&mut self, worker: WorkerId) {
        self.silence.cancel(worker);
        self.availability.silent.insert(worker);
    }

    /// When somebody falls silent next, if nothing is heard of it.
    pub fn next_silence(&self) -> Option<Instant> {
        self.silence.next()
    }

    /// Who is there to work.
    pub fn availability(&self) -> &Availability {
        &self.availability
    }

    /// The keys of one of so many shares of all workers.
    pub fn share(&self, share: u32, shares: u32) -> impl Iterator<Item = &ApiKey> {
        let members =
            self.members.iter().filter(move |(worker, _)| worker.get() % i64::from(shares) == i64::from(share));
        members.map(|(_, member)| &member.key)
    }

    /// The key of a worker.
    pub fn key(&self, worker: WorkerId) -> Option<&ApiKey> {
        self.members.get(&worker).map(|member| &member.key)
    }

    /// The worker of a key.
    pub fn of_key(&self, key: &ApiKey) -> Option<WorkerId> {
        self.keys.get(key).copied()
    }

    /// Who of a pool is to be told of a run: who has not been told yet, answers, and has the most free seats.
    pub fn choose(&self, pool: PoolId, told: &BTreeSet<WorkerId>, load: impl Fn(WorkerId) -> u32) -> WorkerChoice {
        let there = self.there(pool);
        if there.is_empty() {
            return WorkerChoice::Nobody;
        }
        let free = |member: &Member, worker| i64::from(member.seats.unwrap_or(1)) - i64::from(load(worker));
        let best = there
            .into_iter()
            // One that has not said how many seats it has may have one.
            .filter(|(worker, member)| member.seats.is_none() || free(member, *worker) > 0)
            .max_by_key(|(worker, member)| {
                let last = std::cmp::Reverse(*worker);
                (!told.contains(worker), free(member, *worker), last)
            });
        match best {
            None => WorkerChoice::NoSeat,
            Some((worker, _)) if self.availability.silent.contains(&worker) => WorkerChoice::TellSilent(worker),
            Some((worker, member)) if member.holds() => WorkerChoice::TellHolding(worker),
            Some((worker, _)) => WorkerChoice::Tell(worker),
        }
    }

    /// How many runs a pool can take, as far as that is known.
    pub fn free_slots(&self, pool: PoolId, load: impl Fn(WorkerId) -> u32) -> usize {
        let free = self.there(pool).into_iter().map(|(worker, member)| match member.seats {
            Some(seats) => seats.saturating_sub(load(worker)) as usize,
            None => 1,
        });
        free.sum()
    }

    /// Who is given new runs, answers and has enough to claim them; where nobody is, who comes next to it.
    fn there(&self, pool: PoolId) -> Vec<(WorkerId, &Member)> {
        let (answering, silent): (Vec<_>, Vec<_>) = self
            .on_duty(pool)
            .filter(|(_, member)| member.is_there())
            .partition(|(worker, _)| !self.availability.silent.contains(worker));
        if answering.is_empty() {
            return silent;
        }
        let (holding, ready): (Vec<_>, Vec<_>) = answering.into_iter().partition(|(_, member)| member.holds());
        if ready.is_empty() { holding } else { ready }
    }

    /// Whether a worker that was told of a run of a pool may still claim it, and nobody would sooner.
    pub fn may_still_claim(&self, pool: PoolId, worker: WorkerId) -> bool {
        let is_there = |holding: bool| !holding || self.there(pool).iter().any(|(there, _)| *there == worker);
        self.on_duty(pool).any(|(there, member)| there == worker && is_there(member.holds()))
    }

    /// Why a run of a pool waits, with the workers' own reasons.
    pub fn waits(&self, pool: PoolId, reason: WaitReason) -> WaitReasons {
        let concerned: &[WorkerId] = match reason.concerns() {
            Concerns::Nobody => &[],
            Concerns::Worker(ref worker) => &[*worker],
            Concerns::Pool => self.availability.pools.get(&pool).map_or(&[], Vec::as_slice),
        };
        let mut unready = concerned.iter().filter_map(|worker| {
            let why = self.unready(*worker)?;
            Some((self.members.get(worker)?.title.clone(), why))
        });
        let named = unready.by_ref().take(NAMED).collect();
        WaitReasons { reason, unready: named, more: unready.count() }
    }

    /// Why a worker takes no new runs.
    pub fn unready(&self, worker: WorkerId) -> Option<Unready> {
        let said = &self.members.get(&worker)?.unready;
        match said {
            Some(Unready::Disabled | Unready::NeverAnswered | Unready::Offline) => said.clone(),
            _ if self.availability.silent.contains(&worker) => Some(Unready::Silent),
            _ => said.clone(),
        }
    }

    /// Who is given new runs.
    fn on_duty(&self, pool: PoolId) -> impl Iterator<Item = (WorkerId, &Member)> {
        let workers = self.availability.pools.get(&pool).into_iter().flatten();
        let enabled = workers.filter(|worker| self.availability.enabled.contains(worker));
        enabled
            .filter(|worker| !self.availability.resting.contains(worker))
            .filter_map(|worker| Some((*worker, self.members.get(worker)?)))
    }
}

impl Member {
    /// Whether it takes new runs or not for the same reason.
    fn is_as_ready(&self, unready: Option<&Unready>) -> bool {
        match (&self.unready, unready) {
            (None, None) => true,
            (Some(before), Some(now)) => before.is_like(now),
            _ => false,
        }
    }

    /// Whether it has too little to claim runs.
    fn holds(&self) -> bool {
        matches!(self.unready, Some(Unready::Held(_)))
    }

    /// One without any seats is a worker in name only.
    fn is_there(&self) -> bool {
        self.seats != Some(0)
    }
}
