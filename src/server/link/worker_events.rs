//! Handle to the events of workers: `events` publishes those that no change has announced, and the feed passes them on.

use tokio::sync::broadcast;

use crate::run::Event;

/// Events that a receiver may fall behind before it misses some.
const ROOM: usize = 10_000;

/// Publishing side of the events that no change has announced; cheap to clone.
#[derive(Clone, Debug)]
pub struct WorkerEvents {
    sender: broadcast::Sender<Event>,
}

impl Default for WorkerEvents {
    fn default() -> Self {
        Self { sender: broadcast::channel(ROOM).0 }
    }
}

impl WorkerEvents {
    /// Receives, from now on, the events that no change has announced.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }

    /// Publishes an event; without a receiver it is dropped.
    pub(super) fn publish(&self, event: Event) {
        drop(self.sender.send(event));
    }
}
