//! The handle of the feed: counts its listeners. The tasks that accept, fill and empty their queues are beside it.

use super::listeners::Listeners;

/// The listeners of the feed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Feed {
    pub(super) listeners: Listeners,
}

impl Feed {
    /// Admits so many of our own listeners at once, and so many clients of the original.
    #[must_use]
    pub fn new(ours: usize, original: usize) -> Self {
        Self { listeners: Listeners::new(ours, original) }
    }

    /// Returns how many listen now, of both kinds.
    #[must_use]
    pub fn listening(&self) -> usize {
        self.listeners.count()
    }
}
