//! Seats: how many runs may be executed at once. A seat travels with its run and frees itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

#[cfg(test)]
mod tests;

/// All seats.
#[derive(Clone, Debug)]
pub struct Slots {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    taken: AtomicU32,
    all: AtomicU32,
    freed: Notify,
}

/// A taken seat.
#[derive(Debug)]
pub struct Slot {
    shared: Arc<Shared>,
    left: bool,
}

impl Slots {
    /// This many.
    #[must_use]
    pub fn new(all: u32) -> Self {
        Self { shared: Arc::new(Shared { taken: AtomicU32::new(0), all: AtomicU32::new(all), freed: Notify::new() }) }
    }

    /// A seat, if one is free.
    #[must_use]
    pub fn take(&self) -> Option<Slot> {
        let shared = &self.shared;
        let all = shared.all.load(Ordering::Acquire);
        let took =
            shared.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| (taken < all).then_some(taken + 1));
        took.ok().map(|_| Slot { shared: Arc::clone(shared), left: false })
    }

    /// Whether one is free.
    #[must_use]
    pub fn any_free(&self) -> bool {
        self.taken() < self.shared.all.load(Ordering::Acquire)
    }

    /// From now on there are this many. Where there are fewer than are taken, the next is given when enough came back.
    pub fn resize(&self, all: u32) {
        self.shared.all.store(all, Ordering::Release);
        self.shared.freed.notify_one();
    }

    /// A seat for a run that is executed already: there may be more of those than seats, after a restart
    /// with fewer.
    #[must_use]
    pub fn take_anyway(&self) -> Slot {
        self.shared.taken.fetch_add(1, Ordering::AcqRel);
        Slot { shared: Arc::clone(&self.shared), left: false }
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> u32 {
        self.shared.taken.load(Ordering::Acquire)
    }

    /// Waits until a seat was freed since the last time.
    pub async fn freed(&self) {
        self.shared.freed.notified().await;
    }
}

impl Slot {
    /// Frees it before it is dropped: nothing of its run is executed any more.
    pub fn leave(&mut self) {
        if !std::mem::replace(&mut self.left, true) {
            self.shared.taken.fetch_sub(1, Ordering::AcqRel);
            self.shared.freed.notify_one();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.leave();
    }
}
