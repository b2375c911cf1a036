//! Time limits: since when each started run goes on, and which runs exceed their limits. Pure.
//!
//! Durations go by the monotonic clock of the server: neither the start time that a worker reports nor a server clock
//! that is set plays a part. Only for runs that were started before this server is the wall clock read, once: for the
//! time since the earlier server recorded the start.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::timers::Timers;
use crate::run::{Attempt, RunId};
use crate::server::domain::model::{self, JobId};
use crate::server::store::StartedRun;

#[cfg(test)]
mod tests;

/// Runs whose scripts were started and that are not over.
#[derive(Debug)]
pub(super) struct RunLimits {
    // Runs without a limit are kept, too: a change of the job may give them one.
    started: BTreeMap<RunId, UnderWay>,
    ends: Timers<RunId>,
}

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    job: JobId,
    attempt: Attempt,
    since: Instant,
}

/// Source from which the dispatcher learned that a run was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitOrigin {
    /// A change that was published just now.
    ByNews,
    /// The store, read at this wall-clock time.
    InStore(model::Timestamp),
}

impl RunLimits {
    /// Creates a table without runs.
    pub fn new() -> Self {
        Self { started: BTreeMap::new(), ends: Timers::new() }
    }

    /// Adds a run, or updates its limit. The start that was noted first for an attempt stays.
    pub fn note(&mut self, run: &StartedRun, origin: LimitOrigin, now: Instant) {
        let known = self.started.get(&run.run).filter(|known| known.attempt == run.attempt);
        let since = known.map_or_else(|| since(run, origin, now), |known| known.since);
        self.started.insert(run.run, UnderWay { job: run.job, attempt: run.attempt, since });
        match run.limit.and_then(|limit| since.checked_add(limit)) {
            Some(end) => self.ends.set(run.run, end),
            None => self.ends.cancel(run.run),
        }
    }

    /// Removes a run that is over, given back or lost.
    pub fn end(&mut self, run: RunId) {
        self.started.remove(&run);
        self.ends.cancel(run);
    }

    /// Removes all runs but these: the changes that ended the others were missed.
    pub fn keep(&mut self, runs: &BTreeSet<RunId>) {
        for (over, _) in self.started.extract_if(.., |run, _| !runs.contains(run)) {
            self.ends.cancel(over);
        }
    }

    /// Returns whether a job has started runs.
    pub fn has_job(&self, job: JobId) -> bool {
        self.started.values().any(|run| run.job == job)
    }

    /// Returns the instant at which the next run exceeds its limit.
    pub fn next(&self) -> Option<Instant> {
        self.ends.next()
    }

    /// Returns a run that exceeds its limit. It stays until [`RunLimits::timed_out`], so that a kill request that could
    /// not be recorded is tried again.
    pub fn due(&self, now: Instant) -> Option<RunId> {
        self.ends.due(now)
    }

    /// Notes that the kill of a run was requested.
    pub fn timed_out(&mut self, run: RunId) {
        self.ends.cancel(run);
    }
}

/// Returns the instant since which a run goes on.
///
/// A wall clock that was set back since the start makes the run younger than it is, never older; one that was set
/// forward while no server ran makes it older, which cannot be detected.
fn since(run: &StartedRun, origin: LimitOrigin, now: Instant) -> Instant {
    let taken = match (origin, run.heard) {
        (LimitOrigin::InStore(wall), Some(heard)) => (wall - heard).to_std().unwrap_or(Duration::ZERO),
        (LimitOrigin::ByNews, _) | (LimitOrigin::InStore(_), None) => Duration::ZERO,
    };
    // The monotonic clock began with the machine and cannot show an earlier instant: a run that is older than its limit
    // has exceeded it in any case.
    let most = run.limit.map_or(taken, |limit| taken.min(limit));
    now.checked_sub(most).unwrap_or(now)
}
