//! State of the worker as a whole, as the coordinator publishes it.

use super::Settings;
use super::slots::Slots;
use crate::run::lack::{self, Lack};
use crate::run::worker_lifecycle::{Leave, Lifecycle};
use crate::run::{RequestId, WorkerState};

/// State of the worker as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedState {
    /// State in the terms of the status report.
    pub state: WorkerState,
    /// Resources that are short, so that no runs are claimed although the worker is awake.
    pub held: Vec<Lack>,
    /// Number of slots, as configured.
    pub concurrent_jobs: u32,
    /// Slots in use at the moment.
    pub slots_taken: u32,
    /// Command of the server that is being carried out.
    pub follows: Option<RequestId>,
    /// Command of the server that was completed last.
    pub done: Option<RequestId>,
    /// Set when the worker is to exit now, on command.
    pub exit: Option<Leave>,
}

/// Part of the state whose change is reported to the server at once.
#[derive(Clone, Debug)]
pub(super) struct ReportedState {
    pub(super) state: WorkerState,
    held: Vec<Lack>,
    concurrent_jobs: u32,
    follows: Option<RequestId>,
    done: Option<RequestId>,
}

impl PublishedState {
    pub(super) fn of(lifecycle: &Lifecycle, held: &[Lack], settings: &Settings, slots: &Slots) -> Self {
        Self {
            state: lifecycle.state(),
            held: held.to_vec(),
            concurrent_jobs: settings.concurrent_jobs,
            slots_taken: slots.taken(),
            follows: lifecycle.follows(),
            done: lifecycle.remembered().done,
            exit: lifecycle.exit(),
        }
    }

    pub(super) fn reported(&self) -> ReportedState {
        let Self { state, concurrent_jobs, follows, done, .. } = *self;
        ReportedState { state, held: self.held.clone(), concurrent_jobs, follows, done }
    }
}

/// The amounts of short resources change all the time, so they do not make a difference; they are reported with the
/// next change.
impl PartialEq for ReportedState {
    fn eq(&self, other: &Self) -> bool {
        let rest = |one: &Self| (one.state, one.concurrent_jobs, one.follows, one.done);
        rest(self) == rest(other) && lack::are_alike(&self.held, &other.held)
    }
}
