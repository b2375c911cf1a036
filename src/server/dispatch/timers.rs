//! Timers: at most one deadline for each key. Pure.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// Deadlines by key, on the monotonic clock.
#[derive(Clone, Debug)]
pub(super) struct Timers<K> {
    by_time: BTreeSet<(Instant, K)>,
    by_key: HashMap<K, Instant>,
}

impl<K: Copy + Eq + Hash + Ord> Timers<K> {
    pub fn new() -> Self {
        Self { by_time: BTreeSet::new(), by_key: HashMap::new() }
    }

    /// Sets the deadline of a key, in place of an earlier one.
    pub fn set(&mut self, key: K, at: Instant) {
        self.cancel(key);
        self.by_key.insert(key, at);
        self.by_time.insert((at, key));
    }

    pub fn cancel(&mut self, key: K) {
        if let Some(at) = self.by_key.remove(&key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// Returns the deadline of a key.
    pub fn at(&self, key: K) -> Option<Instant> {
        self.by_key.get(&key).copied()
    }

    /// Returns the keys that have a deadline.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.by_key.keys().copied()
    }

    pub fn has(&self, key: K) -> bool {
        self.by_key.contains_key(&key)
    }

    /// Returns the earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Returns the key whose deadline passed first. It stays until it is cancelled or set anew, so that an action that
    /// failed is due still.
    pub fn due(&self, now: Instant) -> Option<K> {
        self.by_time.first().filter(|(at, _)| *at <= now).map(|(_, key)| *key)
    }
}
