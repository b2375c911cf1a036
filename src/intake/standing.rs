//! Where the worker stands as a whole, as the keeper sees it.

use crate::run::lack::{self, Lack};
use crate::run::lifecycle::Leave;
use crate::run::{RequestId, WorkerState};

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerStanding {
    /// What it does.
    pub state: WorkerState,
    /// Why it claims no runs for the time being, though it is awake.
    pub held: Vec<Lack>,
    /// How many runs it does at once.
    pub concurrent_jobs: u32,
    /// How many seats are taken.
    pub slots_taken: u32,
    /// The request that it follows.
    pub follows: Option<RequestId>,
    /// The request that it has done last.
    pub done: Option<RequestId>,
    /// That it is to leave now, having been asked to.
    pub leave: Option<Leave>,
}

/// What of it is told at once when it changes.
#[derive(Clone, Debug)]
pub(super) struct ReportedStanding {
    pub(super) duty: WorkerState,
    held: Vec<Lack>,
    concurrent_jobs: u32,
    follows: Option<RequestId>,
    done: Option<RequestId>,
}

impl WorkerStanding {
    pub(super) fn stand(&self) -> ReportedStanding {
        let Self { state: duty, concurrent_jobs, follows, done, .. } = *self;
        ReportedStanding { duty, held: self.held.clone(), concurrent_jobs, follows, done }
    }
}

/// How much is left of what is lacking changes all the time, and is told with the next change.
impl PartialEq for ReportedStanding {
    fn eq(&self, other: &Self) -> bool {
        let rest = |stand: &Self| (stand.duty, stand.concurrent_jobs, stand.follows, stand.done);
        rest(self) == rest(other) && lack::are_alike(&self.held, &other.held)
    }
}
