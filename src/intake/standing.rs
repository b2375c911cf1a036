//! State of the worker as a whole, as the keeper publishes it.

use crate::run::lack::{self, Lack};
use crate::run::lifecycle::Leave;
use crate::run::{RequestId, WorkerState};

/// State of the worker as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerStanding {
    /// State in the terms of the status report.
    pub state: WorkerState,
    /// Resources that are short, so that no runs are claimed although the worker is awake.
    pub held: Vec<Lack>,
    /// Number of slots, as configured.
    pub concurrent_jobs: u32,
    /// Slots in use at the moment.
    pub slots_taken: u32,
    /// Request of the server that is being followed.
    pub follows: Option<RequestId>,
    /// Request of the server that was completed last.
    pub done: Option<RequestId>,
    /// Set when the worker is to exit now, on request.
    pub leave: Option<Leave>,
}

/// Part of the state whose change is reported to the server at once.
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

/// The amounts of short resources change all the time, so they do not make a difference; they are reported with the
/// next change.
impl PartialEq for ReportedStanding {
    fn eq(&self, other: &Self) -> bool {
        let rest = |stand: &Self| (stand.duty, stand.concurrent_jobs, stand.follows, stand.done);
        rest(self) == rest(other) && lack::are_alike(&self.held, &other.held)
    }
}
