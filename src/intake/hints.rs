//! Runs that are said to be due and wait for a seat, in the order they were heard of. Pure.
//!
//! Bounded: when too many wait, the oldest goes – the server announces what nobody claims again.

use std::collections::{HashSet, VecDeque};

use crate::run::RunId;

#[cfg(test)]
mod tests;

/// How many runs may wait.
pub const MAX_HINTS: usize = 10_000;

/// How many runs that the server itself named may wait.
const AHEAD: usize = 1000;

/// The waiting runs.
#[derive(Debug)]
pub struct Hints {
    /// Those that the server itself names: they go first.
    ahead: VecDeque<RunId>,
    order: VecDeque<RunId>,
    known: HashSet<RunId>,
    room: usize,
}

/// A run that is to be looked up next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The run.
    pub run: RunId,
    /// Whether the server itself names it.
    pub is_sure: bool,
}

/// What became of a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintOutcome {
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
        Self { ahead: VecDeque::new(), order: VecDeque::new(), known: HashSet::new(), room: room.max(1) }
    }

    /// A run is said to be due.
    pub fn note(&mut self, run: RunId) -> HintOutcome {
        if !self.known.insert(run) {
            return HintOutcome::Known;
        }
        let pushed_out = if self.order.len() == self.room { self.order.pop_front() } else { None };
        if let Some(pushed_out) = pushed_out {
            self.known.remove(&pushed_out);
        }
        self.order.push_back(run);
        pushed_out.map_or(HintOutcome::New, HintOutcome::InsteadOf)
    }

    /// The server itself says that a run is due: it goes before all of which others say so.
    pub fn note_ahead(&mut self, run: RunId) {
        if self.ahead.len() < AHEAD && !self.ahead.contains(&run) {
            self.ahead.push_back(run);
        }
    }

    /// The server has said which runs are due: what others said before is forgotten.
    pub fn forget_rumours(&mut self) {
        self.order.clear();
        self.known.clear();
    }

    /// The run that is next, which stays.
    #[must_use]
    pub fn first(&self) -> Option<Hint> {
        let sure = self.ahead.front().map(|run| Hint { run: *run, is_sure: true });
        sure.or_else(|| self.order.front().map(|run| Hint { run: *run, is_sure: false }))
    }

    /// The run that is next: of those of which the same is known, the one that waited longest.
    pub fn next(&mut self) -> Option<RunId> {
        if let Some(run) = self.ahead.pop_front() {
            return Some(run);
        }
        let run = self.order.pop_front()?;
        self.known.remove(&run);
        Some(run)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ahead.len() + self.order.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ahead.is_empty() && self.order.is_empty()
    }

    /// Nobody waits any more.
    pub fn clear(&mut self) {
        self.ahead.clear();
        self.forget_rumours();
    }
}
