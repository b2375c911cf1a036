//! Queue of messages for one listener: bounded, drops the oldest and counts what the listener missed. Pure.
//!
//! A listener that is behind learns that it missed messages. If it misses as many again before it takes that notice, it
//! is given up.

use std::collections::VecDeque;

#[cfg(test)]
mod tests;

/// Messages that may wait.
pub const ROOM: usize = 1000;
/// Messages that may be missed before the listener is given up.
pub const MISSED: usize = 1000;

/// Waiting messages, each with its number.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: VecDeque<(u64, T)>,
    missed: usize,
    /// Number of the latest message that was missed.
    last_missed: u64,
    over: bool,
}

/// Next item for a listener.
#[derive(Debug, PartialEq, Eq)]
pub enum QueueItem<T> {
    /// A message to be sent.
    Message(T),
    /// Messages up to this number were missed.
    Missed(u64),
    /// The queue is empty for now.
    Nothing,
    /// The listener is given up.
    TooSlow,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), missed: 0, last_missed: 0, over: false }
    }
}

impl<T> Queue<T> {
    /// Queues a message; returns false if the listener is given up, now or earlier.
    pub fn put(&mut self, number: u64, message: T) -> bool {
        if self.over {
            return false;
        }
        if self.waiting.len() == ROOM
            && let Some((oldest, _)) = self.waiting.pop_front()
        {
            self.missed += 1;
            self.last_missed = oldest;
        }
        if self.missed > MISSED {
            // The messages will never be sent, so their memory is released at once.
            (self.over, self.waiting) = (true, VecDeque::new());
            return false;
        }
        self.waiting.push_back((number, message));
        true
    }

    /// Takes the next item; the notice of missed messages comes before the messages after them.
    pub fn next(&mut self) -> QueueItem<T> {
        if self.over {
            return QueueItem::TooSlow;
        }
        if std::mem::take(&mut self.missed) > 0 {
            return QueueItem::Missed(self.last_missed);
        }
        self.waiting.pop_front().map_or(QueueItem::Nothing, |(_, message)| QueueItem::Message(message))
    }
}
