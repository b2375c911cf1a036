//! Hints: runs that were announced as due and wait for a slot, in the order of their announcement. Pure.
//!
//! The queue is bounded: when it is full the oldest hint is dropped, since the server announces again what nobody
//! claims.

use std::collections::{HashSet, VecDeque};

use crate::run::RunId;

#[cfg(test)]
mod tests;

/// Most runs that may wait after an announcement.
pub const MAX_HINTS: usize = 10_000;

/// Most runs that may wait after the server itself listed them.
const MAX_AHEAD: usize = 1000;

/// Queues of runs that wait for a slot.
#[derive(Debug)]
pub struct Hints {
    /// Runs from the server's own list, which go before all others.
    ahead: VecDeque<RunId>,
    order: VecDeque<RunId>,
    known: HashSet<RunId>,
    room: usize,
}

/// Run that is to be looked up next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Number of the run.
    pub run: RunId,
    /// Whether the server itself listed the run; an announcement alone may be forged.
    pub is_sure: bool,
}

/// Effect of noting a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintOutcome {
    /// The run is queued now.
    New,
    /// The run was queued before.
    Known,
    /// The run is queued now, and this one, which had waited longest, was dropped.
    InsteadOf(RunId),
}

impl Hints {
    /// Creates empty queues with room for `room` announced runs.
    #[must_use]
    pub fn new(room: usize) -> Self {
        Self { ahead: VecDeque::new(), order: VecDeque::new(), known: HashSet::new(), room: room.max(1) }
    }

    /// Queues a run that was announced as due.
    pub fn note(&mut self, run: RunId) -> HintOutcome {
        if !self.known.insert(run) {
            return HintOutcome::Known;
        }
        // The server announces again what nobody claims, so the oldest hint can be dropped.
        let pushed_out = if self.order.len() == self.room { self.order.pop_front() } else { None };
        if let Some(pushed_out) = pushed_out {
            self.known.remove(&pushed_out);
        }
        self.order.push_back(run);
        pushed_out.map_or(HintOutcome::New, HintOutcome::InsteadOf)
    }

    /// Queues a run that the server itself listed as due, before all announced ones.
    pub fn note_ahead(&mut self, run: RunId) {
        // A linear search is fine here, because the list is short and comes from the server alone.
        if self.ahead.len() < MAX_AHEAD && !self.ahead.contains(&run) {
            self.ahead.push_back(run);
        }
    }

    /// Forgets all announced runs, because the server has listed every run that is due.
    pub fn forget_announced(&mut self) {
        self.order.clear();
        self.known.clear();
    }

    /// Returns the next run without removing it.
    #[must_use]
    pub fn first(&self) -> Option<Hint> {
        let sure = self.ahead.front().map(|run| Hint { run: *run, is_sure: true });
        sure.or_else(|| self.order.front().map(|run| Hint { run: *run, is_sure: false }))
    }

    /// Removes and returns the next run: the listed one that waited longest, else the announced one.
    pub fn next(&mut self) -> Option<RunId> {
        if let Some(run) = self.ahead.pop_front() {
            return Some(run);
        }
        let run = self.order.pop_front()?;
        self.known.remove(&run);
        Some(run)
    }

    /// Returns the number of waiting runs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ahead.len() + self.order.len()
    }

    /// Forgets all waiting runs.
    pub fn clear(&mut self) {
        self.ahead.clear();
        self.forget_announced();
    }
}
