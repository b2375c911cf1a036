//! Where the worker stands as a whole, as the keeper sees it.

use crate::run::conduct::Leave;
use crate::run::{Duty, RequestId};

/// All of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posture {
    /// What it does.
    pub duty: Duty,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    pub(super) duty: Duty,
    concurrent_jobs: u32,
    follows: Option<RequestId>,
    done: Option<RequestId>,
}

impl Posture {
    pub(super) fn stand(&self) -> Stand {
        let Self { duty, concurrent_jobs, follows, done, .. } = *self;
        Stand { duty, concurrent_jobs, follows, done }
    }
}
