//! Where the worker stands as a whole, as the keeper sees it.

use crate::run::conduct::Leave;
use crate::run::lack::{self, Lack};
use crate::run::{Duty, RequestId};

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posture {
    /// What it does.
    pub duty: Duty,
    /// Why it claims no runs for the time being, though it is awake.
    pub held: Vec<Lack>,
    /// How many runs it does at once.
    pub concurrent_jobs: u32,
    /// How many seats are taken.
    pub seats_taken: u32,
    /// The request that it follows.
    pub follows: Option<RequestId>,
    /// The request that it has done last.
    pub done: Option<RequestId>,
    /// That it is to leave now, having been asked to.
    pub leave: Option<Leave>,
}

/// What of it is told at once when it changes.
#[derive(Clone, Debug)]
pub(super) struct Stand {
    pub(super) duty: Duty,
    held: Vec<Lack>,
    concurrent_jobs: u32,
    follows: Option<RequestId>,
    done: Option<RequestId>,
}

impl Posture {
    pub(super) fn stand(&self) -> Stand {
        let Self { duty, concurrent_jobs, follows, done, .. } = *self;
        Stand { duty, held: self.held.clone(), concurrent_jobs, follows, done }
    }
}

/// How much is left of what is lacking changes all the time, and is told with the next change.
impl PartialEq for Stand {
    fn eq(&self, other: &Self) -> bool {
        let rest = |stand: &Self| (stand.duty, stand.concurrent_jobs, stand.follows, stand.done);
        rest(self) == rest(other) && lack::are_alike(&self.held, &other.held)
    }
}
