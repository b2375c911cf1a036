//! What everything in the server works with: the store, the settings, who is told of what.

use super::news::News;
use super::orders::Orders;
use super::settings::Settings;
use super::store::Store;

/// What everything in the server works with. Shared, never changed.
#[derive(Debug)]
pub struct Office {
    /// What is known.
    pub store: Store,
    /// What was set.
    pub settings: Settings,
    /// Where orders to workers are given.
    pub orders: Orders,
}

impl Office {
    /// What has changed, for those who want to know.
    #[must_use]
    pub fn news(&self) -> &News {
        self.store.news()
    }
}
