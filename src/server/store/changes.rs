//! What has changed, for those who want to know at once: the dispatcher, the feeds, who follows a log.
//!
//! News says "look", the store says what is. So a listener that falls behind loses nothing but time: it
//! is told that it missed something, and looks.

use tokio::sync::broadcast;

use crate::run::{KillId, RunId};
use crate::server::domain::model::{JobId, WorkerId};

/// How much news a listener may fall behind.
const ROOM: usize = 4096;

/// One piece of news, told after its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A run was made, or its time has changed: somebody may have to announce it.
    RunScheduled(RunId),
    /// A run that is due waits for another reason than before, or for none any more.
    RunWaits(RunId),
    /// A run was claimed.
    RunEnqueued(RunId),
    /// A run was given back or lost, and may be claimed again.
    RunGivenBack(RunId),
    /// Its script runs.
    RunStarted(RunId),
    /// It is over.
    RunReturned(RunId),
    /// Its log has changed, and is this many bytes long now.
    RunLog(RunId, u64),
    /// Somebody wants a run killed.
    KillRequested(KillId),
    /// A worker took the request.
    KillTaken(KillId),
    /// Nothing is left alive.
    KillExecuted(KillId),
    /// A job was made or changed.
    JobChanged(JobId),
    /// A worker was made or changed, or it answered a ping.
    WorkerChanged(WorkerId),
    /// A pool, project or template was made or changed.
    CatalogueChanged,
}

/// Where news is told and heard. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChangeFeed {
    sender: broadcast::Sender<Change>,
}

/// Somebody who listens.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<Change>,
}

/// What a listener hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeNotice {
    /// News.
    Item(Change),
    /// There was more than this listener could take: look at everything.
    Missed,
    /// There will be no more.
    Closed,
}

impl Default for ChangeFeed {
    fn default() -> Self {
        Self { sender: broadcast::channel(ROOM).0 }
    }
}

impl ChangeFeed {
    /// Tells everybody who listens.
    pub fn publish(&self, item: Change) {
        // That nobody listens is no error.
        let _ = self.sender.send(item);
    }

    /// Listens from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        Subscription { receiver: self.sender.subscribe() }
    }
}

impl Subscription {
    /// What is next, if it is there already.
    pub fn try_next(&mut self) -> Option<ChangeNotice> {
        match self.receiver.try_recv() {
            Ok(item) => Some(ChangeNotice::Item(item)),
            Err(broadcast::error::TryRecvError::Lagged(_)) => Some(ChangeNotice::Missed),
            Err(broadcast::error::TryRecvError::Closed) => Some(ChangeNotice::Closed),
            Err(broadcast::error::TryRecvError::Empty) => None,
        }
    }

    /// Waits for what is next.
    pub async fn next(&mut self) -> ChangeNotice {
        match self.receiver.recv().await {
            Ok(item) => ChangeNotice::Item(item),
            Err(broadcast::error::RecvError::Lagged(_)) => ChangeNotice::Missed,
            Err(broadcast::error::RecvError::Closed) => ChangeNotice::Closed,
        }
    }
}
