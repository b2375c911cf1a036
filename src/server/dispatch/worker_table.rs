//! Worker table: which workers can be given runs, which have free slots, and which have fallen silent. Pure.
//!
//! Silence is measured by the monotonic clock of the server: the instant counts at which an answer was noticed, not the
//! time that the worker wrote into it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::timers::Timers;
use crate::run::{ApiKey, RunId};
use crate::server::domain::model::{self, PoolId, WorkerId};
use crate::server::domain::schedule::due_decision::{Availability, Concerns, WaitReason};
use crate::server::domain::wait_reasons::WaitReasons;
use crate::server::domain::worker_state::{self, NotTakingRuns, takes_runs};
use crate::server::store::{Claim, WorkerSnapshot};

#[cfg(test)]
mod tests;

/// Maximum number of workers that a reason to wait names.
const NAMED: usize = 8;

/// All workers, with their silence and their claims.
#[derive(Debug)]
pub(super) struct WorkerTable {
    members: BTreeMap<WorkerId, Member>,
    keys: HashMap<ApiKey, WorkerId>,
    availability: Arc<Availability>,
    disabled: [Vec<i64>; 3],
    /// Longest silence before a worker is lost.
    patience: Duration,
    silence: Timers<WorkerId>,
    /// Claims that were noted, by their runs: the time of each by its worker's clock, in microseconds.
    claims: BTreeMap<RunId, i64>,
}

#[derive(Debug)]
struct Member {
    key: ApiKey,
    title: String,
    /// Slots, as far as the worker reported them.
    slots: Option<u32>,
    /// Reason why the worker takes no new runs, without regard to silence.
    unready: Option<NotTakingRuns>,
    /// Times of its last answer, by the worker's clock and by the server's, to notice another one.
    answer: (Option<model::Timestamp>, Option<model::Timestamp>),
}

/// Worker to announce a run to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkerChoice {
    /// A worker that answers.
    Announce(WorkerId),
    /// A silent worker: no worker of the pool answers.
    AnnounceToSilent(WorkerId),
    /// A worker that lacks resources to claim runs: so does each one of the pool that answers.
    AnnounceToHolding(WorkerId),
    /// No worker has a free slot.
    NoSlot,
    /// No worker takes runs.
    Nobody,
}

impl WorkerTable {
    /// Creates a table without workers.
    pub fn new(patience: Duration) -> Self {
        Self {
            members: BTreeMap::new(),
            keys: HashMap::new(),
            availability: Arc::default(),
            disabled: Default::default(),
            patience,
            silence: Timers::new(),
            claims: BTreeMap::new(),
        }
    }

    /// Takes over a snapshot of the workers; `true` if it changes more than the times of answers.
    pub fn update(&mut self, snapshot: WorkerSnapshot, now: Instant) -> bool {
        let mut members = BTreeMap::new();
        let (mut enabled, mut resting) = (BTreeSet::new(), BTreeSet::new());
        let mut news = false;
        for worker in snapshot.workers {
            let before = self.members.remove(&worker.id);
            let slots = worker.concurrent_jobs;
            let unready = worker_state::unready(&worker, false);
            news |= before.as_ref().is_none_or(|before| before.slots != slots || !before.is_as_ready(unready.as_ref()));
            // A worker that is new here has a whole patience interval, and so have all of them after a start of the
            // server.
            let answer = (worker.ping_response_dts, worker.heard_dts);
            if before.is_none_or(|before| before.answer != answer) {
                news |= self.note_alive(worker.id, now);
            }
            if worker.enqueue_is_enabled {
                enabled.insert(worker.id);
            }
            if !takes_runs(&worker) {
                resting.insert(worker.id);
            }
            members
                .insert(worker.id, Member { key: worker.api_key, title: worker.title.into(), slots, unready, answer });
        }
        // Workers of the snapshot were taken out above: those that are left were deleted.
        for gone in self.members.keys() {
            news = true;
            self.silence.cancel(*gone);
            Arc::make_mut(&mut self.availability).silent.remove(gone);
        }
        news |= self.availability.enabled != enabled
            || self.availability.resting != resting
            || self.availability.pools != snapshot.pools;
        news |= self.disabled != snapshot.disabled;
        self.keys = members.iter().map(|(id, member)| (member.key.clone(), *id)).collect();
        self.members = members;
        let availability = Arc::make_mut(&mut self.availability);
        (availability.enabled, availability.pools, availability.resting) = (enabled, snapshot.pools, resting);
        self.disabled = snapshot.disabled;
        news
    }

    /// Notes a sign of life of a worker; `true` if it was silent.
    pub fn note_alive(&mut self, worker: WorkerId, now: Instant) -> bool {
        self.silence.set(worker, now + self.patience);
        // Most signs of life are of workers that are not silent: nothing is copied for them.
        self.availability.silent.contains(&worker) && Arc::make_mut(&mut self.availability).silent.remove(&worker)
    }

    /// Notes a claim: a worker that claims is alive, whatever it answers to pings; `true` if it was silent.
    pub fn note_claim(&mut self, claim: &Claim, now: Instant) -> bool {
        // A claim that was noted before is no new sign of life, so the same claim read again does not prolong the
        // patience.
        self.claims.insert(claim.run, claim.at) != Some(claim.at) && self.note_alive(claim.worker, now)
    }

    /// Takes over all claims, where changes may have been missed; `true` if a worker that made a new one was silent.
    pub fn note_claims(&mut self, claims: &[Claim], now: Instant) -> bool {
        let open: BTreeSet<RunId> = claims.iter().map(|claim| claim.run).collect();
        self.claims.retain(|run, _| open.contains(run));
        let mut was_silent = false;
        for claim in claims {
            was_silent |= self.note_claim(claim, now);
        }
        was_silent
    }

    /// Forgets the claim of a run that is over, given back or lost.
    pub fn end_claim(&mut self, run: RunId) {
        self.claims.remove(&run);
    }

    /// Restarts the patience with all workers that are not silent yet: their answers could not be recorded.
    pub fn reset_silence(&mut self, now: Instant) {
        for worker in self.members.keys() {
            if !self.availability.silent.contains(worker) {
                self.silence.set(*worker, now + self.patience);
            }
        }
    }

    /// Returns a worker that has been silent for too long, and does not count as silent yet.
    pub fn falls_silent(&self, now: Instant) -> Option<WorkerId> {
        self.silence.due(now)
    }

    /// Marks a worker as silent, once the consequences of its silence are recorded.
    pub fn fell_silent(&mut self, worker: WorkerId) {
        self.silence.cancel(worker);
        Arc::make_mut(&mut self.availability).silent.insert(worker);
    }

    /// Returns the instant at which the next worker falls silent if it gives no sign of life.
    pub fn next_silence(&self) -> Option<Instant> {
        self.silence.next()
    }

    /// Returns the workers that runs can be given to. Shared, since each evaluation of jobs takes it along.
    pub fn availability(&self) -> &Arc<Availability> {
        &self.availability
    }

    /// Returns the keys of one of `shares` shares of all workers.
    pub fn share(&self, share: u32, shares: u32) -> impl Iterator<Item = &ApiKey> {
        // By id, so that a worker stays in its share and its pings keep their distance.
        let members =
            self.members.iter().filter(move |(worker, _)| worker.get() % i64::from(shares) == i64::from(share));
        members.map(|(_, member)| &member.key)
    }

    /// Returns the key of a worker.
    pub fn key(&self, worker: WorkerId) -> Option<&ApiKey> {
        self.members.get(&worker).map(|member| &member.key)
    }

    /// Returns the worker of a key.
    pub fn of_key(&self, key: &ApiKey) -> Option<WorkerId> {
        self.keys.get(key).copied()
    }

    /// Chooses a worker of a pool for a run: by preference one to which it was not announced yet, then the one
    /// with most free slots.
    pub fn choose(&self, pool: PoolId, told: &BTreeSet<WorkerId>, load: impl Fn(WorkerId) -> u32) -> WorkerChoice {
        let there = self.there(pool);
        if there.is_empty() {
            return WorkerChoice::Nobody;
        }
        let free = |member: &Member, worker| i64::from(member.slots.unwrap_or(1)) - i64::from(load(worker));
        let best = there
            .into_iter()
            // A worker that has not reported its slots may have one.
            .filter(|(worker, member)| member.slots.is_none() || free(member, *worker) > 0)
            .max_by_key(|(worker, member)| {
                // Among equals the lowest id is chosen, so that the choice can be predicted.
                let last = std::cmp::Reverse(*worker);
                (!told.contains(worker), free(member, *worker), last)
            });
        match best {
            None => WorkerChoice::NoSlot,
            Some((worker, _)) if self.availability.silent.contains(&worker) => WorkerChoice::AnnounceToSilent(worker),
            Some((worker, member)) if member.holds() => WorkerChoice::AnnounceToHolding(worker),
            Some((worker, _)) => WorkerChoice::Announce(worker),
        }
    }

    /// Returns how many runs a pool can take, as far as slots are known.
    pub fn free_slots(&self, pool: PoolId, load: impl Fn(WorkerId) -> u32) -> usize {
        let free = self.there(pool).into_iter().map(|(worker, member)| match member.slots {
            Some(slots) => slots.saturating_sub(load(worker)) as usize,
            None => 1,
        });
        free.sum()
    }

    /// Returns the workers of a pool that take runs, answer and lack nothing; if there are none, those that answer; if
    /// there are none of these either, the silent ones.
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

    /// Returns whether a worker may still claim a run that was announced to it, and no other one is to be preferred.
    pub fn may_still_claim(&self, pool: PoolId, worker: WorkerId) -> bool {
        let is_there = |holding: bool| !holding || self.there(pool).iter().any(|(there, _)| *there == worker);
        self.on_duty(pool).any(|(there, member)| there == worker && is_there(member.holds()))
    }

    /// Returns why a run of a pool waits, with the reasons of the workers concerned.
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

    /// Returns why a worker takes no new runs.
    pub fn unready(&self, worker: WorkerId) -> Option<NotTakingRuns> {
        let said = &self.members.get(&worker)?.unready;
        match said {
            // A reason of the worker's record says more than its silence does, and holds whether or not it is silent.
            Some(NotTakingRuns::Disabled | NotTakingRuns::NeverAnswered | NotTakingRuns::Offline) => said.clone(),
            _ if self.availability.silent.contains(&worker) => Some(NotTakingRuns::Silent),
            _ => said.clone(),
        }
    }

    /// Returns the workers of a pool that are enabled and take new runs.
    fn on_duty(&self, pool: PoolId) -> impl Iterator<Item = (WorkerId, &Member)> {
        let workers = self.availability.pools.get(&pool).into_iter().flatten();
        let enabled = workers.filter(|worker| self.availability.enabled.contains(worker));
        enabled
            .filter(|worker| !self.availability.resting.contains(worker))
            .filter_map(|worker| Some((*worker, self.members.get(worker)?)))
    }
}

impl Member {
    /// Returns whether the worker takes new runs or not for the same reason as before.
    fn is_as_ready(&self, unready: Option<&NotTakingRuns>) -> bool {
        match (&self.unready, unready) {
            (None, None) => true,
            (Some(before), Some(now)) => before.is_like(now),
            _ => false,
        }
    }

    /// Returns whether the worker lacks resources to claim runs.
    fn holds(&self) -> bool {
        matches!(self.unready, Some(NotTakingRuns::Held(_)))
    }

    /// Returns whether the worker has slots at all, as far as it reported them.
    fn is_there(&self) -> bool {
        self.slots != Some(0)
    }
}
