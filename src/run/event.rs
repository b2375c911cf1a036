//! What onlookers are told: the course of a run or of a kill request.

use super::{KillId, RunId};

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The run is ours.
    RunEnqueued(RunId),
    /// Its script runs.
    RunStarted(RunId),
    /// It is over and its result is with the server.
    RunReturned(RunId),
    /// We took the kill request.
    KillEnqueued(KillId),
    /// Nothing of the run is left alive.
    KillExecuted(KillId),
}
