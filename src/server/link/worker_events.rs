//! The handle of workers' events: `events` publishes what the change feed has not told, and the feed listens.

use tokio::sync::broadcast;

use crate::run::Event;

/// How many events a listener may fall behind before it misses some.
const ROOM: usize = 10_000;

/// Publishes events of workers to whoever listens. Cheap to clone.
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
    /// Listens from now on to events that the change feed does not tell.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }

    /// Publishes an event. Without a listener it is dropped.
    pub(super) fn publish(&self, event: Event) {
        drop(self.sender.send(event));
    }
}
