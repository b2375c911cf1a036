//! Lookup budget: limits how many announced runs are looked up in vain, so that forged announcements cannot make the
//! worker call the API without end. A token bucket; lookups that turn out to be true cost nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// Size of the bucket: lookups in vain that may happen at once.
const CAPACITY: f64 = 64.0;
/// Lookups in vain per second in the long run.
const REFILL_PER_S: f64 = 5.0;

/// Results for which a lookup is charged, which differ in cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WastedLookup {
    /// The run does not exist, or this worker may not see it: no honest sender announces that.
    Unknown,
    /// The run exists and is not to be started, for example because another worker was faster.
    NotStartable,
}

impl WastedLookup {
    fn cost(self) -> f64 {
        match self {
            Self::Unknown => 1.0,
            Self::NotStartable => 0.1,
        }
    }
}

/// Budget of one kind of lookup. Clones share it.
#[derive(Clone, Debug)]
pub struct LookupBudget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    returned: Notify,
}

#[derive(Debug)]
struct State {
    /// Tokens left: lookups in vain that are still allowed.
    left: f64,
    at: Instant,
    /// Lookups under way, any of which may turn out to be in vain.
    under_way: u32,
}

impl State {
    fn refill(&mut self, now: Instant) {
        // Refilled on use, so that no timer is needed.
        self.left = CAPACITY.min(self.left + now.saturating_duration_since(self.at).as_secs_f64() * REFILL_PER_S);
        self.at = now;
    }

    fn allows(&self) -> bool {
        // A lookup under way counts as if it would be in vain; one that is not gives its token back.
        f64::from(self.under_way) + 1.0 <= self.left
    }
}

/// Permit for one lookup, which counts as under way until it is dropped.
#[derive(Debug)]
pub struct LookupPermit {
    shared: Arc<Shared>,
}

impl Default for LookupBudget {
    fn default() -> Self {
        let state = Mutex::new(State { left: CAPACITY, at: Instant::now(), under_way: 0 });
        Self { shared: Arc::new(Shared { state, returned: Notify::new() }) }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LookupBudget {
    /// Takes a permit; `None` while too many lookups were in vain.
    #[must_use]
    pub fn take(&self) -> Option<LookupPermit> {
        let mut state = self.shared.state();
        state.refill(Instant::now());
        state.allows().then(|| {
            state.under_way += 1;
            LookupPermit { shared: Arc::clone(&self.shared) }
        })
    }

    /// Returns whether many lookups were in vain lately.
    #[must_use]
    pub fn is_half_spent(&self) -> bool {
        let mut state = self.shared.state();
        state.refill(Instant::now());
        state.left < CAPACITY / 2.0
    }

    /// Waits until another permit may be available.
    pub async fn replenished(&self) {
        let missing = {
            let state = self.shared.state();
            (f64::from(state.under_way) + 1.0 - state.left).max(0.0)
        };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs_f64(missing / REFILL_PER_S)) => {}
            () = self.shared.returned.notified() => {}
        }
    }
}

impl LookupPermit {
    /// Charges the budget for a lookup that was in vain.
    pub fn charge(self, result: WastedLookup) {
        let mut state = self.shared.state();
        state.left = (state.left - result.cost()).max(0.0);
    }
}

impl Drop for LookupPermit {
    fn drop(&mut self) {
        self.shared.state().under_way -= 1;
        self.shared.returned.notify_one();
    }
}
