//! Table of wrong tokens: counts them by address and decides how long each answer is delayed. Pure.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::server::http::connections::Source;

#[cfg(test)]
mod tests;

/// Wrong tokens of an address that are answered at once, as people mistype.
const FREE: u32 = 10;
/// Delay of the first answer beyond; each further one is delayed twice as long.
const FIRST: Duration = Duration::from_millis(100);
/// Doublings at most, after which the delay stays the same.
const DOUBLINGS: u32 = 5;
/// Time after which each wrong token is forgotten. A script with an old token that asks once a minute is never slowed
/// down.
const FORGOTTEN: Duration = Duration::from_secs(10);
/// Answers to an address that may be delayed at the same time.
const WAITING: usize = 8;
/// Addresses that are kept at most; beyond, the one that has been quiet longest is forgotten.
const SOURCES: usize = 4096;

/// Wrong tokens of each address.
#[derive(Debug, Default)]
pub struct GuessTable(HashMap<Source, Entry>);

#[derive(Debug)]
struct Entry {
    wrong: u32,
    last: Instant,
    /// Times at which delayed answers are due, also those whose client has gone meanwhile.
    answers: VecDeque<Instant>,
}

impl GuessTable {
    /// Returns whether [`WAITING`] answers to an address are delayed; until one is due, no token from there is looked
    /// at.
    pub fn is_full(&mut self, source: Source, now: Instant) -> bool {
        let Some(entry) = self.0.get_mut(&source) else { return false };
        entry.answers.retain(|answer| *answer > now);
        entry.answers.len() >= WAITING
    }

    /// Counts a wrong token and returns the delay of its answer.
    pub fn wrong(&mut self, source: Source, now: Instant) -> Duration {
        if self.0.len() >= SOURCES && !self.0.contains_key(&source) {
            self.forget_one(now);
        }
        let entry =
            self.0.entry(source).or_insert_with(|| Entry { wrong: 0, last: now, answers: VecDeque::with_capacity(1) });
        // A count beyond the longest delay would only take longer to be forgotten.
        entry.wrong = entry.remaining(now).min(FREE + DOUBLINGS) + 1;
        entry.last = now;
        let Some(beyond) = entry.wrong.checked_sub(FREE + 1) else { return Duration::ZERO };
        let wait = FIRST * 2_u32.pow(beyond.min(DOUBLINGS));
        entry.answers.push_back(now + wait);
        wait
    }

    /// Forgets all addresses whose wrong tokens are forgotten, or else the one that has been quiet longest.
    fn forget_one(&mut self, now: Instant) {
        let before = self.0.len();
        self.0.retain(|_, entry| entry.remaining(now) > 0);
        if self.0.len() < before {
            return;
        }
        let quietest = self.0.iter().min_by_key(|(_, entry)| entry.last).map(|(source, _)| *source);
        quietest.map(|source| self.0.remove(&source));
    }
}

impl Entry {
    /// Number of wrong tokens that are not forgotten yet.
    fn remaining(&self, now: Instant) -> u32 {
        let forgotten = now.duration_since(self.last).as_secs() / FORGOTTEN.as_secs();
        self.wrong.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }
}
