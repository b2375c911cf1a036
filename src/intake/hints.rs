//! Runs that are said to be due and wait for a seat, in the order they were heard of. Pure.
//!
//! Bounded: when too many wait, the oldest goes – the server announces what nobody claims again.

use std::collections::{HashSet, VecDeque};

use crate::run::RunId;

#[cfg(test)]
mod tests;

/// How many runs may wait.
pub const MAX_HINTS: usize = 10_000;

/// The waiting runs.
#[derive(Debug)]
pub struct Hints {
    order: VecDeque<RunId>,
    known: HashSet<RunId>,
    room: usize,
}

/// What became of a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It waits.
    New,
    /// It waited already.
    Known,
    /// It waits, and the one that waited longest does not any more.
    InsteadOf(RunId),
}

impl Hints {
    /// Room for this many.
    #[must_use]
    pub fn new(room: usize) -> Self {
        Self { order: VecDeque::new(), known: HashSet::new(), room: room.max(1) }
    }

    /// A run is said to be due.
    pub fn note(&mut self, run: RunId) -> Noted {
        if !self.known.insert(run) {
            return Noted::Known;
        }
        let pushed_out = if self.order.len() == self.room { self.next() } else { None };
        self.order.push_back(run);
        pushed_out.map_or(Noted::New, Noted::InsteadOf)
    }

    /// The run that waited longest.
    pub fn next(&mut self) -> Option<RunId> {
        let run = self.order.pop_front()?;
        self.known.remove(&run);
        Some(run)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Nobody waits any more.
    pub fn clear(&mut self) {
        self.order.clear();
        self.known.clear();
    }
}
