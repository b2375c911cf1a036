//! Write transactions: commit, and then publish what was committed.
//!
//! Whoever writes hands over the changes to publish together with the write, so that no commit can forget them and none
//! is published that was rolled back.

use std::ops::{Deref, DerefMut};

use sqlx::sqlite::SqliteConnection;
use sqlx::{Sqlite, Transaction};

use super::StoreError;
use super::changes::{Change, ChangeFeed};

/// An open write transaction, with the changes that its commit publishes. Dropped without a commit, it is rolled back and
/// publishes nothing.
pub(super) struct Writing {
    transaction: Transaction<'static, Sqlite>,
    changes: Vec<Change>,
    feed: ChangeFeed,
}

impl Writing {
    pub(super) fn new(transaction: Transaction<'static, Sqlite>, feed: ChangeFeed) -> Self {
        Self { transaction, changes: Vec::new(), feed }
    }

    /// Has the commit publish these changes, after those that it publishes already.
    pub(super) fn publish_on_commit(&mut self, changes: impl IntoIterator<Item = Change>) {
        self.changes.extend(changes);
    }

    /// Commits, and publishes the changes in the order in which they were made.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().await?;
        self.changes.into_iter().for_each(|change| self.feed.publish(change));
        Ok(())
    }
}

impl Deref for Writing {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.transaction
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}
