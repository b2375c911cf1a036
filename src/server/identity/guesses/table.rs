//! How many wrong tokens came from where, and how long each is kept waiting. Pure.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::server::http::connections::Source;

#[cfg(test)]
mod tests;

/// How many wrong tokens of an address are answered at once: people mistype.
const FREE: u32 = 10;
/// How long the first one beyond is kept waiting; each further one twice as long.
const FIRST: Duration = Duration::from_millis(100);
/// How many times that doubles.
const DOUBLINGS: u32 = 5;
/// After how much time each wrong token is forgotten. A script with an old token that asks once a minute is never slowed down.
const FORGOTTEN: Duration = Duration::from_secs(10);
/// How many wrong tokens of an address may wait for their answers.
const WAITING: usize = 8;
/// How many addresses are known. Beyond, the one that has been quiet longest is forgotten.
const SOURCES: usize = 4096;

/// The wrong tokens of each address.
#[derive(Debug, Default)]
pub struct GuessTable(HashMap<Source, Entry>);

#[derive(Debug)]
struct Entry {
    wrong: u32,
    last: Instant,
    /// When those that wait are answered, whether or not somebody is there for it still.
    answers: VecDeque<Instant>,
}

impl GuessTable {
    /// Whether as many of an address wait as may: no token from there is looked at until one is answered.
    pub fn is_full(&mut self, source: Source, now: Instant) -> bool {
        let Some(entry) = self.0.get_mut(&source) else { return false };
        entry.answers.retain(|answer| *answer > now);
        entry.answers.len() >= WAITING
    }

    /// A wrong token came: how long its answer is to take.
    pub fn wrong(&mut self, source: Source, now: Instant) -> Duration {
        if self.0.len() >= SOURCES && !self.0.contains_key(&source) {
            self.forget_one(now);
        }
        let entry =
            self.0.entry(source).or_insert_with(|| Entry { wrong: 0, last: now, answers: VecDeque::with_capacity(1) });
        // More than this are no worse.
        entry.wrong = entry.remaining(now).min(FREE + DOUBLINGS) + 1;
        entry.last = now;
        let Some(beyond) = entry.wrong.checked_sub(FREE + 1) else { return Duration::ZERO };
        let wait = FIRST * 2_u32.pow(beyond.min(DOUBLINGS));
        entry.answers.push_back(now + wait);
        wait
    }

    /// Forgets those who are quiet for long enough, or else the one that has been longest.
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
    /// How many are not forgotten yet.
    fn remaining(&self, now: Instant) -> u32 {
        let forgotten = now.duration_since(self.last).as_secs() / FORGOTTEN.as_secs();
        self.wrong.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }
}
