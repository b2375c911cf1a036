//! Limits of time: since when each started run goes on, and which of them has taken too long. Pure.
//!
//! It all goes by the clock that nobody sets: what a worker writes as its start does not matter here, and neither does a
//! server whose wall clock is set. Only of what ran before this server began is the wall clock asked, once: for the
//! time since the server before it heard of the start.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::timers::Timers;
use crate::run::{Attempt, RunId};
use crate::server::domain::model::{self, JobId};
use crate::server::store::StartedRun;

#[cfg(test)]
mod tests;

/// The runs under way.
#[derive(Debug)]
pub(super) struct RunLimits {
    started: BTreeMap<RunId, UnderWay>,
    ends: Timers<RunId>,
}

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    job: JobId,
    attempt: Attempt,
    since: Instant,
}

/// How it was found out that a run is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitOrigin {
    /// Its start was told just now.
    ByNews,
    /// In the store, at this time of the wall clock.
    InStore(model::Timestamp),
}

impl RunLimits {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { started: BTreeMap::new(), ends: Timers::new() }
    }

    /// Takes over what is known of a run. Since when it goes on stays as it was found out first; its limit may change.
    pub fn note(&mut self, run: &StartedRun, found: LimitOrigin, now: Instant) {
        let known = self.started.get(&run.run).filter(|known| known.attempt == run.attempt);
        let since = known.map_or_else(|| since(run, found, now), |known| known.since);
        self.started.insert(run.run, UnderWay { job: run.job, attempt: run.attempt, since });
        match run.limit.and_then(|limit| since.checked_add(limit)) {
            Some(end) => self.ends.set(run.run, end),
            None => self.ends.cancel(run.run),
        }
    }

    /// A run is over, or nobody has it any more.
    pub fn end(&mut self, run: RunId) {
        self.started.remove(&run);
        self.ends.cancel(run);
    }

    /// Nothing is under way but these: the end of others was not told.
    pub fn keep(&mut self, runs: &BTreeSet<RunId>) {
        for (over, _) in self.started.extract_if(.., |run, _| !runs.contains(run)) {
            self.ends.cancel(over);
        }
    }

    /// Whether a job has runs under way.
    pub fn has_job(&self, job: JobId) -> bool {
        self.started.values().any(|run| run.job == job)
    }

    /// When the next run has taken too long.
    pub fn next(&self) -> Option<Instant> {
        self.ends.next()
    }

    /// A run that has taken too long. It stays until its end is asked for: what could not be asked is to be asked still.
    pub fn due(&self, now: Instant) -> Option<RunId> {
        self.ends.due(now)
    }

    /// The end of a run was asked for.
    pub fn timed_out(&mut self, run: RunId) {
        self.ends.cancel(run);
    }
}

/// Since when a run goes on. A wall clock that was set back since then makes it younger than it is, never older; one that
/// was set forward while no server was there makes it older: nobody can know better.
fn since(run: &StartedRun, found: LimitOrigin, now: Instant) -> Instant {
    let taken = match (found, run.heard) {
        (LimitOrigin::InStore(wall), Some(heard)) => (wall - heard).to_std().unwrap_or(Duration::ZERO),
        (LimitOrigin::ByNews, _) | (LimitOrigin::InStore(_), None) => Duration::ZERO,
    };
    // The clock began when the machine did: whatever is older than that has taken too long anyway.
    let most = run.limit.map_or(taken, |limit| taken.min(limit));
    now.checked_sub(most).unwrap_or(now)
}
