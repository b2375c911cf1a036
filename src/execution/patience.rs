//! Patience with a shim that owes an answer or was seen stopped: decides when to check it and whether to continue or
//! kill it. Pure.
//!
//! A stop alone loses nothing: a stopped shim is continued. Only a shim that owes an answer and is found stopped again
//! and again is killed, and its run is written off as that of a shim that died.

use std::time::{Duration, Instant};

/// Time that the shim has for an answer beyond the work for it, and time between two checks of a stopped shim.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest pause between two checks of a shim that owes an answer and is not stopped.
const LAST_PAUSE: Duration = Duration::from_secs(60);
/// Number of times a shim that owes an answer is continued before it is killed.
const MAX_CONTINUES: u32 = 3;
/// Time by which a stopped shim that never answered has been killed.
pub(super) const KILLED_AFTER: Duration = Duration::from_secs(ANSWER_TIMEOUT.as_secs() * (MAX_CONTINUES as u64 + 2));

/// Decision about a shim that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatienceVerdict {
    /// The shim is not stopped: its answer will come.
    Wait,
    /// The shim is stopped and is sent CONT.
    Continue,
    /// The shim is killed: it was continued too often.
    Kill,
}

/// Answers that a shim owes, and the next time it is checked.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Deadline of its first packet: the greeting, or the start of the script.
    begin: Option<Instant>,
    /// Deadline of the end of its run.
    end: Option<Instant>,
    /// Next check that was scheduled after an earlier one, or after a stop was seen.
    look: Option<Instant>,
    /// Last check; `None` before the first.
    looked: Option<Instant>,
    pause: Duration,
    /// Consecutive checks that found the shim stopped.
    stopped: u32,
}

impl Patience {
    /// Records that the shim owes its first packet.
    pub fn owes_begin(&mut self, now: Instant) {
        self.begin = Some(now + ANSWER_TIMEOUT);
    }

    /// Records that the first packet has come.
    pub fn began(&mut self) {
        self.begin = None;
    }

    /// Records that the shim owes the end of its run within `within`. An earlier deadline stays in force.
    // A limit beyond the range of the clock is no deadline.
    pub fn owes_end(&mut self, now: Instant, within: Duration) {
        let by = now.checked_add(within.saturating_add(ANSWER_TIMEOUT));
        self.end = self.end.into_iter().chain(by).min();
    }

    /// Records that the run is over: the shim owes nothing.
    pub fn ended(&mut self) {
        *self = Self::default();
    }

    /// Records that the shim was seen stopped, so that it is checked soon even if it owes nothing.
    pub fn seen_stopped(&mut self, now: Instant) {
        self.look.get_or_insert(now + ANSWER_TIMEOUT);
    }

    /// Returns the instant of the next check, if there is one.
    pub fn due(&self) -> Option<Instant> {
        let owed = [self.begin, self.end].into_iter().flatten();
        // A deadline that a check has already seen pass is not due again: `look` schedules the checks after it.
        let not_seen = owed.filter(|by| self.looked.is_none_or(|looked| *by > looked));
        not_seen.chain(self.look).min()
    }

    /// Records a check and decides about the shim.
    pub fn look(&mut self, now: Instant, is_stopped: bool) -> PatienceVerdict {
        let overdue = [self.begin, self.end].into_iter().flatten().any(|by| by <= now);
        self.looked = Some(now);
        if is_stopped {
            self.stopped += 1;
            self.look = Some(now + ANSWER_TIMEOUT);
            return if overdue && self.stopped > MAX_CONTINUES {
                PatienceVerdict::Kill
            } else {
                PatienceVerdict::Continue
            };
        }
        self.stopped = 0;
        // Slow, not stopped: checks become rarer, since a busy machine is the likely cause.
        self.pause = (self.pause * 2).clamp(ANSWER_TIMEOUT, LAST_PAUSE);
        self.look = overdue.then(|| now + self.pause);
        PatienceVerdict::Wait
    }
}

#[cfg(test)]
mod tests;
