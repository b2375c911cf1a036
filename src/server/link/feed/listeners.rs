//! The listeners of the feed, and the queue of each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::queue::{Queue, QueueItem};
use crate::wire::feed::FeedMessage;

/// Format of the messages that a listener receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// The original's events: the states of runs and kill requests.
    Original,
    /// Numbered messages at `/events`, which contain all changes.
    Ours,
}

/// Handle to all listeners; cheap to clone.
#[derive(Clone, Debug)]
pub struct Listeners {
    register: Arc<Mutex<Register>>,
    /// Free places by format: an unknown client of the original takes none from a browser that has logged in.
    ours: Arc<Semaphore>,
    original: Arc<Semaphore>,
    /// Tasks of the listeners.
    pub tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Register {
    /// Number of the latest message.
    seq: u64,
    joined: u64,
    queues: HashMap<u64, Arc<ChangeQueue>>,
}

/// Queue of messages for one listener.
#[derive(Debug)]
pub struct ChangeQueue {
    language: Language,
    queue: Mutex<Queue<Utf8Bytes>>,
    /// Notified when a message is queued.
    pub filled: Notify,
    /// Cancelled when the listener is too slow.
    pub given_up: CancellationToken,
}

/// Place of a listener; dropped, it is free again.
#[derive(Debug)]
pub struct ListenerSlot {
    listeners: Listeners,
    number: u64,
    /// Messages that wait for the listener.
    pub queue: Arc<ChangeQueue>,
    _seat: OwnedSemaphorePermit,
}

impl Listeners {
    /// Listeners with this many places for each format.
    pub fn new(ours: usize, original: usize) -> Self {
        let places = |most: usize| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        let (ours, original) = (places(ours), places(original));
        Self { register: Arc::default(), ours, original, tasks: TaskTracker::new() }
    }

    /// Takes a place and queues messages for it from now on; `None` if all are taken.
    pub fn join(&self, language: Language) -> Option<ListenerSlot> {
        let places = match language {
            Language::Ours => &self.ours,
            Language::Original => &self.original,
        };
        let slot = Arc::clone(places).try_acquire_owned().ok()?;
        let mut register = self.register();
        let queue = Arc::new(ChangeQueue {
            language,
            queue: Mutex::default(),
            filled: Notify::new(),
            given_up: CancellationToken::new(),
        });
        // The first message tells the listener to read everything once, as it knows nothing yet.
        if language == Language::Ours {
            queue.put(register.seq, FeedMessage::resync(register.seq).text().into());
        }
        register.joined += 1;
        let number = register.joined;
        register.queues.insert(number, Arc::clone(&queue));
        Some(ListenerSlot { listeners: self.clone(), number, queue, _seat: slot })
    }

    /// Number of listeners of both formats.
    pub fn count(&self) -> usize {
        self.register().queues.len()
    }

    /// Queues a change for all listeners, in each format that has a message for it.
    pub fn tell(&self, original: Option<String>, ours: Option<FeedMessage>) {
        let mut register = self.register();
        let original = original.map(Utf8Bytes::from);
        // Numbered under the lock, so that each queue receives the numbers in order.
        let ours = ours.map(|told| {
            register.seq += 1;
            Utf8Bytes::from(FeedMessage { seq: register.seq, ..told }.text())
        });
        for queue in register.queues.values() {
            let text = match queue.language {
                Language::Original => original.as_ref(),
                Language::Ours => ours.as_ref(),
            };
            if let Some(text) = text {
                queue.put(register.seq, text.clone());
            }
        }
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChangeQueue {
    fn put(&self, seq: u64, text: Utf8Bytes) {
        if self.queue().put(seq, text) {
            self.filled.notify_one();
        } else {
            self.given_up.cancel();
        }
    }

    /// Takes the next message from the queue; `None` if there is none, or the listener has been given up.
    pub fn next(&self) -> Option<Utf8Bytes> {
        loop {
            match (self.queue().next(), self.language) {
                (QueueItem::Message(text), _) => return Some(text),
                (QueueItem::Missed(seq), Language::Ours) => return Some(FeedMessage::resync(seq).text().into()),
                // The original's format has no message for missed events.
                (QueueItem::Missed(_), Language::Original) => {}
                (QueueItem::Nothing | QueueItem::TooSlow, _) => return None,
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<Utf8Bytes>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ListenerSlot {
    fn drop(&mut self) {
        self.listeners.register().queues.remove(&self.number);
    }
}
