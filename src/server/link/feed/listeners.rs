//! Who listens, and what waits for each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::queue::{Queue, QueueItem};
use crate::wire::feed::FeedMessage;

/// What a listener understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// What the original says: the course of runs and kill requests.
    Original,
    /// That and more, numbered.
    Ours,
}

/// Everybody who listens. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Listeners {
    register: Arc<Mutex<Register>>,
    /// Those of each language have places of their own: who is unknown takes none from who has logged in.
    ours: Arc<Semaphore>,
    original: Arc<Semaphore>,
    /// Their tasks.
    pub tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Register {
    /// The number of the last message.
    seq: u64,
    joined: u64,
    queues: HashMap<u64, Arc<ChangeQueue>>,
}

/// Where messages wait for a listener.
#[derive(Debug)]
pub struct ChangeQueue {
    language: Language,
    queue: Mutex<Queue<Utf8Bytes>>,
    /// Notified when something waits.
    pub filled: Notify,
    /// Cancelled when the listener is too slow.
    pub given_up: CancellationToken,
}

/// A listener's place; empty again when it is dropped.
#[derive(Debug)]
pub struct ListenerSlot {
    listeners: Listeners,
    number: u64,
    /// What waits for it.
    pub queue: Arc<ChangeQueue>,
    _seat: OwnedSemaphorePermit,
}

impl Listeners {
    /// Room for this many of each language.
    pub fn new(ours: usize, original: usize) -> Self {
        let places = |most: usize| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        let (ours, original) = (places(ours), places(original));
        Self { register: Arc::default(), ours, original, tasks: TaskTracker::new() }
    }

    /// A place, if there is one. What is told from now on waits there.
    pub fn join(&self, language: Language) -> Option<ListenerSlot> {
        let places = match language {
            Language::Ours => &self.ours,
            Language::Original => &self.original,
        };
        let seat = Arc::clone(places).try_acquire_owned().ok()?;
        let mut register = self.register();
        let queue = Arc::new(ChangeQueue {
            language,
            queue: Mutex::default(),
            filled: Notify::new(),
            given_up: CancellationToken::new(),
        });
        if language == Language::Ours {
            queue.put(register.seq, FeedMessage::resync(register.seq).text().into());
        }
        register.joined += 1;
        let number = register.joined;
        register.queues.insert(number, Arc::clone(&queue));
        Some(ListenerSlot { listeners: self.clone(), number, queue, _seat: seat })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.register().queues.len()
    }

    /// Tells everybody: in the original's words, if it has any for this, and in ours, if we have.
    pub fn tell(&self, original: Option<String>, ours: Option<FeedMessage>) {
        let mut register = self.register();
        let original = original.map(Utf8Bytes::from);
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

    /// What is to be sent next. Nothing when nothing waits, or nothing ever will.
    pub fn next(&self) -> Option<Utf8Bytes> {
        loop {
            match (self.queue().next(), self.language) {
                (QueueItem::Message(text), _) => return Some(text),
                (QueueItem::Missed(seq), Language::Ours) => return Some(FeedMessage::resync(seq).text().into()),
                // The original has no word for it.
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
