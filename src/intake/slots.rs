//! Slots: the number of runs that may be executed at once. A slot moves with its run and is freed when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

#[cfg(test)]
mod tests;

/// All slots of the worker. Clones share them.
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

/// A slot in use.
#[derive(Debug)]
pub struct Slot {
    shared: Arc<Shared>,
    is_freed: bool,
}

impl Slots {
    /// Creates `all` free slots.
    #[must_use]
    pub fn new(all: u32) -> Self {
        Self { shared: Arc::new(Shared { taken: AtomicU32::new(0), all: AtomicU32::new(all), freed: Notify::new() }) }
    }

    /// Takes a slot; `None` if all are in use.
    #[must_use]
    pub fn take(&self) -> Option<Slot> {
        let shared = &self.shared;
        let all = shared.all.load(Ordering::Acquire);
        let took =
            // Compare-and-set, because the tasks of runs free slots at the same time.
            shared.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| (taken < all).then_some(taken + 1));
        took.ok().map(|_| Slot { shared: Arc::clone(shared), is_freed: false })
    }

    /// Returns whether a slot is free.
    #[must_use]
    pub fn any_free(&self) -> bool {
        self.taken() < self.shared.all.load(Ordering::Acquire)
    }

    /// Changes the number of slots. If more are in use, none is given out until enough have been freed.
    pub fn resize(&self, all: u32) {
        self.shared.all.store(all, Ordering::Release);
        self.shared.freed.notify_one();
    }

    /// Takes a slot for a run that is executed already, even beyond the number of slots: after a restart with fewer
    /// slots there may be more such runs.
    #[must_use]
    pub fn take_even_if_full(&self) -> Slot {
        self.shared.taken.fetch_add(1, Ordering::AcqRel);
        Slot { shared: Arc::clone(&self.shared), is_freed: false }
    }

    /// Returns the number of slots in use.
    #[must_use]
    pub fn taken(&self) -> u32 {
        self.shared.taken.load(Ordering::Acquire)
    }

    /// Waits until a slot was freed since the last call.
    pub async fn freed(&self) {
        self.shared.freed.notified().await;
    }
}

impl Slot {
    /// Frees the slot before it is dropped, because no process of its run is left.
    pub fn free(&mut self) {
        if !std::mem::replace(&mut self.is_freed, true) {
            self.shared.taken.fetch_sub(1, Ordering::AcqRel);
            self.shared.freed.notify_one();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.free();
    }
}
