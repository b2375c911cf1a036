//! Handle of a run under way: stops the run, and tells whether it is ours and whether it is over.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::run::Cause;

/// Handle to a run under way, for those who want it stopped.
#[derive(Clone, Debug)]
pub(super) struct RunHandle {
    pub(super) stop: Arc<watch::Sender<Option<Cause>>>,
    /// Cancelled once the run is known to be ours.
    pub(super) ours: CancellationToken,
    /// Cancelled once no process of the run is left.
    pub(super) over: CancellationToken,
}

impl RunHandle {
    /// Stops the run, whether it is running yet or not. The first cause wins.
    pub(super) fn stop(&self, cause: Cause) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(cause);
            first
        });
    }
}
