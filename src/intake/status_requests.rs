//! Requests of the server for a status report, from the coordinator to the task that reports.

use tokio::sync::Notify;

/// Requests for a status report that wait; several of one kind count as one.
#[derive(Debug, Default)]
pub struct StatusRequests {
    ping: Notify,
    command: Notify,
}

impl StatusRequests {
    /// Waits for a ping: the server checks that the worker is alive. The state has been brought up to date by then.
    pub async fn pinged(&self) {
        self.ping.notified().await;
    }

    /// Waits until the server has a command for the worker.
    pub async fn called(&self) {
        self.command.notified().await;
    }

    pub(super) fn ping(&self) {
        self.ping.notify_one();
    }

    pub(super) fn call(&self) {
        self.command.notify_one();
    }
}
