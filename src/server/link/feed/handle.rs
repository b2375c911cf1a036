//! Handle to the feed: holds its listeners and counts them. The tasks that accept listeners and fill their queues are
//! beside it.

use super::listeners::Listeners;

/// Handle to the listeners of the feed; cheap to clone.
#[derive(Clone, Debug)]
pub struct Feed {
    pub(super) listeners: Listeners,
}

impl Feed {
    /// Feed with this many places for listeners at `/events`, and so many for clients of the original.
    #[must_use]
    pub fn new(ours: usize, original: usize) -> Self {
        Self { listeners: Listeners::new(ours, original) }
    }

    /// Returns the number of listeners of both kinds.
    #[must_use]
    pub fn listening(&self) -> usize {
        self.listeners.count()
    }
}
