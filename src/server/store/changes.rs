//! The change feed: publishes each committed change to the dispatcher, the WebSocket feeds and the followers of logs.
//!
//! A change says which entity to read again; the store holds its state. So a subscriber that falls behind loses no
//! data: it receives [`ChangeNotice::Missed`] and reads everything again.

use tokio::sync::broadcast;

use crate::run::{KillId, RunId};
use crate::server::domain::model::{JobId, WorkerId};

/// Changes that a subscriber may fall behind before it misses some.
const ROOM: usize = 4096;

/// A change, published after its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A run was created or removed, or its due time changed, so the dispatcher may have to announce it.
    RunScheduled(RunId),
    /// A due run waits for another reason than before, or for none any more.
    RunWaits(RunId),
    /// A run was claimed.
    RunEnqueued(RunId),
    /// A run was given back or lost, and may be claimed again.
    RunGivenBack(RunId),
    /// The script of a run was started.
    RunStarted(RunId),
    /// A run is over, however it ended.
    RunReturned(RunId),
    /// The log of a run has changed; its length in bytes.
    RunLog(RunId, u64),
    /// A kill of a run was requested.
    KillRequested(KillId),
    /// A worker took a kill request.
    KillTaken(KillId),
    /// A kill was executed: no process of the run is left alive.
    KillExecuted(KillId),
    /// A job was created or changed.
    JobChanged(JobId),
    /// A worker was created or changed, or answered a ping.
    WorkerChanged(WorkerId),
    /// A project, template, pool or membership of workers changed, or an entity of any kind was deleted.
    CatalogueChanged,
    /// A Flamenco worker, a task or its log, or a job of the farm changed. Without an id: on a farm everything changes all the
    /// time, and whoever looks at it reads a page again.
    FarmChanged,
}

/// Publishing side of the change feed; cheap to clone.
#[derive(Clone, Debug)]
pub struct ChangeFeed {
    sender: broadcast::Sender<ChangeNotice>,
}

/// Receiving side of the change feed, from the moment of its creation.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<ChangeNotice>,
}

/// Next notice for a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeNotice {
    /// A change was published.
    Item(Change),
    /// The subscriber fell more than `ROOM` changes behind, or changes of other servers were lost on the way here: it must
    /// read everything again.
    Missed,
    /// The store is gone; there will be no more changes.
    Closed,
}

impl Default for ChangeFeed {
    fn default() -> Self {
        // The channel lives without receivers, so publishing works before the first subscription.
        Self { sender: broadcast::channel(ROOM).0 }
    }
}

impl ChangeFeed {
    /// Publishes a change to all subscribers.
    pub fn publish(&self, item: Change) {
        // An error means that nobody is subscribed, which is fine.
        let _ = self.sender.send(ChangeNotice::Item(item));
    }

    /// Tells all subscribers that changes were lost on the way here, so that they read everything again.
    pub fn publish_missed(&self) {
        // As above.
        let _ = self.sender.send(ChangeNotice::Missed);
    }

    /// Subscribes to all changes from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        Subscription { receiver: self.sender.subscribe() }
    }
}

impl Subscription {
    /// Returns the next notice without waiting; `None` if there is none yet.
    pub fn try_next(&mut self) -> Option<ChangeNotice> {
        match self.receiver.try_recv() {
            Ok(notice) => Some(notice),
            Err(broadcast::error::TryRecvError::Lagged(_)) => Some(ChangeNotice::Missed),
            Err(broadcast::error::TryRecvError::Closed) => Some(ChangeNotice::Closed),
            Err(broadcast::error::TryRecvError::Empty) => None,
        }
    }

    /// Waits for the next notice.
    pub async fn next(&mut self) -> ChangeNotice {
        match self.receiver.recv().await {
            Ok(notice) => notice,
            Err(broadcast::error::RecvError::Lagged(_)) => ChangeNotice::Missed,
            Err(broadcast::error::RecvError::Closed) => ChangeNotice::Closed,
        }
    }
}
