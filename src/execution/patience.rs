//! How long a shim is waited for that owes an answer, or was seen to be stopped. Pure.
//!
//! Nothing is lost by a stop alone: a shim that is stopped is continued. Only one that owes an answer and is found stopped
//! again and again is killed, and its run is written off as that of a shim that died.

use std::time::{Duration, Instant};

/// How long an answer may take, beyond what it takes anyway; and how long a shim may stand still.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// The longest pause between two looks at one that owes an answer and does not stand still.
const LAST: Duration = Duration::from_secs(60);
/// How often one that owes an answer is continued before it is killed.
const CONTINUED: u32 = 3;
/// After how long one that owed an answer from the beginning is dead, if it stands still.
pub(super) const DEAD: Duration = Duration::from_secs(ANSWER.as_secs() * (CONTINUED as u64 + 2));

/// What is done about a shim that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatienceVerdict {
    /// It does not stand still: its answer comes when it comes.
    Wait,
    /// It is continued.
    Continue,
    /// It is killed.
    Kill,
}

/// What is owed, and when the shim is looked at.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// By when it says that it begins, or who it is.
    begin: Option<Instant>,
    /// By when it says that its run is over.
    end: Option<Instant>,
    /// The next look.
    look: Option<Instant>,
    /// The last one.
    looked: Option<Instant>,
    pause: Duration,
    /// How often it was found stopped, one look after the other.
    stopped: u32,
}

impl Patience {
    /// It owes a first word.
    pub fn owes_begin(&mut self, now: Instant) {
        self.begin = Some(now + ANSWER);
    }

    /// The first word was said.
    pub fn began(&mut self) {
        self.begin = None;
    }

    /// It owes the end of its run within so long. Where it owed it before that, it still does.
    pub fn owes_end(&mut self, now: Instant, within: Duration) {
        let by = now.checked_add(within.saturating_add(ANSWER));
        self.end = self.end.into_iter().chain(by).min();
    }

    /// It owes nothing.
    pub fn ended(&mut self) {
        *self = Self::default();
    }

    /// It was seen to be stopped.
    pub fn seen_stopped(&mut self, now: Instant) {
        self.look.get_or_insert(now + ANSWER);
    }

    /// When it is to be looked at.
    pub fn due(&self) -> Option<Instant> {
        let owed = [self.begin, self.end].into_iter().flatten();
        let not_seen = owed.filter(|by| self.looked.is_none_or(|looked| *by > looked));
        not_seen.chain(self.look).min()
    }

    /// It was looked at.
    pub fn look(&mut self, now: Instant, is_stopped: bool) -> PatienceVerdict {
        let overdue = [self.begin, self.end].into_iter().flatten().any(|by| by <= now);
        self.looked = Some(now);
        if is_stopped {
            self.stopped += 1;
            self.look = Some(now + ANSWER);
            return if overdue && self.stopped > CONTINUED { PatienceVerdict::Kill } else { PatienceVerdict::Continue };
        }
        self.stopped = 0;
        self.pause = (self.pause * 2).clamp(ANSWER, LAST);
        self.look = overdue.then(|| now + self.pause);
        PatienceVerdict::Wait
    }
}

#[cfg(test)]
mod tests;
