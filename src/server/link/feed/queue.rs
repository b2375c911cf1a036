//! What waits for one listener. Pure.
//!
//! Bounded: where more waits than there is room for, the oldest goes and the listener is told that it missed
//! something. Who misses as much again before it takes that is shown the door.

use std::collections::VecDeque;

#[cfg(test)]
mod tests;

/// How many messages may wait.
pub const ROOM: usize = 1000;
/// How many may be missed until the listener is given up.
pub const MISSED: usize = 1000;

/// The waiting messages, each with its number.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: VecDeque<(u64, T)>,
    missed: usize,
    /// The number of the last that was missed.
    last_missed: u64,
    over: bool,
}

/// What is next.
#[derive(Debug, PartialEq, Eq)]
pub enum QueueItem<T> {
    /// A message.
    Message(T),
    /// Something was missed, up to this number.
    Missed(u64),
    /// Nothing for now.
    Nothing,
    /// Too much was missed.
    TooSlow,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), missed: 0, last_missed: 0, over: false }
    }
}

impl<T> Queue<T> {
    /// A message waits. False: this listener is too slow, now or before.
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
            (self.over, self.waiting) = (true, VecDeque::new());
            return false;
        }
        self.waiting.push_back((number, message));
        true
    }

    /// What is next.
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
