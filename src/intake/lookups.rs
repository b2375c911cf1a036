//! How many hints are looked up: as many as turn out to be true, and few of those that do not. Who forges hints shall not make
//! us call the API without end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// How many looks in vain there may be at once.
const MOST: f64 = 64.0;
/// How many a second in the long run.
const RATE: f64 = 5.0;

/// What a look in vain costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vain {
    /// There is no such thing, or it is none of ours to see: nobody who is honest sends that.
    Unknown,
    /// It is there and is not to be done, as when another worker was faster.
    Done,
}

impl Vain {
    fn cost(self) -> f64 {
        match self {
            Self::Unknown => 1.0,
            Self::Done => 0.1,
        }
    }
}

/// All looks of one kind.
#[derive(Clone, Debug)]
pub struct Lookups {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    over: Notify,
}

#[derive(Debug)]
struct State {
    /// How many looks in vain there may be.
    left: f64,
    at: Instant,
    /// How many are under way.
    under_way: u32,
}

impl State {
    fn refill(&mut self, now: Instant) {
        self.left = MOST.min(self.left + now.saturating_duration_since(self.at).as_secs_f64() * RATE);
        self.at = now;
    }

    fn allows(&self) -> bool {
        f64::from(self.under_way) + 1.0 <= self.left
    }
}

/// A look under way, until it is dropped.
#[derive(Debug)]
pub struct LookupGuard {
    shared: Arc<Shared>,
}

impl Default for Lookups {
    fn default() -> Self {
        let state = Mutex::new(State { left: MOST, at: Instant::now(), under_way: 0 });
        Self { shared: Arc::new(Shared { state, over: Notify::new() }) }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lookups {
    /// Begins one, if it is allowed now.
    #[must_use]
    pub fn begin(&self) -> Option<LookupGuard> {
        let mut state = self.shared.state();
        state.refill(Instant::now());
        state.allows().then(|| {
            state.under_way += 1;
            LookupGuard { shared: Arc::clone(&self.shared) }
        })
    }

    /// Whether many were in vain lately.
    #[must_use]
    pub fn are_vain(&self) -> bool {
        let mut state = self.shared.state();
        state.refill(Instant::now());
        state.left < MOST / 2.0
    }

    /// Waits until the next may be allowed.
    pub async fn perhaps(&self) {
        let missing = {
            let state = self.shared.state();
            (f64::from(state.under_way) + 1.0 - state.left).max(0.0)
        };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs_f64(missing / RATE)) => {}
            () = self.shared.over.notified() => {}
        }
    }
}

impl LookupGuard {
    /// It was in vain.
    pub fn vain(self, how: Vain) {
        let mut state = self.shared.state();
        state.left = (state.left - how.cost()).max(0.0);
    }
}

impl Drop for LookupGuard {
    fn drop(&mut self) {
        self.shared.state().under_way -= 1;
        self.shared.over.notify_one();
    }
}
