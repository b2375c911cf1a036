//! Handle of a run under way: stops the run, and tells whether it is ours and whether it is over.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::run::Cause;

/// Handle to a run under way, for those who want it stopped.
#[derive(Clone, Debug)]
pub(super) struct RunHandle {
    stop: Arc<watch::Sender<Option<Cause>>>,
    /// Cancelled once the run is known to be ours.
    pub(super) ours: CancellationToken,
    /// Cancelled once no process of the run is left.
    pub(super) over: CancellationToken,
}

/// Counterpart of a [`RunHandle`], which the task of the run holds.
#[derive(Debug)]
pub(super) struct RunSignals {
    /// Cause of the stop, once the run is to be stopped.
    pub(super) stopped: watch::Receiver<Option<Cause>>,
    /// Cancelled by the task once the run is known to be ours.
    pub(super) ours: CancellationToken,
    /// Cancelled by the task once no process of the run is left.
    pub(super) over: CancellationToken,
}

impl RunHandle {
    /// Creates the handle of a run and its counterpart.
    pub(super) fn new() -> (Self, RunSignals) {
        let (stop, stopped) = watch::channel(None);
        let (ours, over) = (CancellationToken::new(), CancellationToken::new());
        (Self { stop: Arc::new(stop), ours: ours.clone(), over: over.clone() }, RunSignals { stopped, ours, over })
    }

    /// Stops the run, whether it is running yet or not. The first cause wins.
    pub(super) fn stop(&self, cause: Cause) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(cause);
            first
        });
    }
}
