//! State of the worker as a whole, as the coordinator publishes it.

use super::Settings;
use super::slots::Slots;
use crate::run::lack::Lack;
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
}
