//! Events: the progress of a run or of a kill request, published for the WebSocket server.

use super::{KillId, RunId};

/// Event about one run or one kill request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The run is claimed by this worker.
    RunEnqueued(RunId),
    /// The script of the run was started.
    RunStarted(RunId),
    /// The run is over, and the server has its result.
    RunReturned(RunId),
    /// The kill request was taken by this worker.
    KillEnqueued(KillId),
    /// No process of the run is alive any more.
    KillExecuted(KillId),
}
