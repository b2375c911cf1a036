//! Logouts: refuses the cookies of sessions that were logged out before their time, also after a restart.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use tokio::sync::{Mutex, watch};

use super::session::Session;
use crate::server::domain::model::Timestamp;
use crate::server::store::{Store, StoreError};

#[cfg(test)]
mod tests;

/// Name of the setting in which the store keeps them.
const SETTING: &str = "logged_out_sessions";
/// Logouts that are kept at most. Only the operator's token begins a session, so nobody else can fill this.
const MOST: usize = 10_000;

/// Ids of the sessions that were logged out.
#[derive(Debug, Default)]
pub struct Logouts {
    ended: RwLock<BTreeSet<String>>,
    /// Held during a logout, so that no two overwrite each other's setting.
    writing: Mutex<()>,
    /// Notified of each logout.
    changes: watch::Sender<()>,
}

impl Logouts {
    /// Loads the logouts that the store keeps.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let kept = store.setting(SETTING).await?.unwrap_or_default();
        Ok(Self { ended: RwLock::new(ids(&kept)), ..Self::default() })
    }

    /// Reads again what the store keeps: another server may have logged a session out.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn reload(&self, store: &Store) -> Result<(), StoreError> {
        let _writing = self.writing.lock().await;
        let kept = store.setting(SETTING).await?.unwrap_or_default();
        *self.ended.write().unwrap_or_else(PoisonError::into_inner) = ids(&kept);
        self.changes.send_replace(());
        Ok(())
    }

    /// Returns whether a session was logged out.
    #[must_use]
    pub fn has(&self, session: &Session) -> bool {
        self.ended.read().unwrap_or_else(PoisonError::into_inner).contains(session.id())
    }

    /// Waits until a session is logged out or expires.
    pub async fn until_over(&self, session: &Session, now: Timestamp) {
        let mut changes = self.changes.subscribe();
        let logged_out = async {
            // The sender is part of `self`, so `changed` cannot fail.
            while !self.has(session) && changes.changed().await.is_ok() {}
        };
        tokio::select! {
            () = logged_out => {}
            () = tokio::time::sleep(session.remains(now)) => {}
        }
    }

    /// Logs a session out, and forgets those that have expired by now.
    ///
    /// # Errors
    /// If the store cannot be read or written; the session goes on then.
    pub async fn end(&self, store: &Store, session: &Session, now: Timestamp) -> Result<(), StoreError> {
        let _writing = self.writing.lock().await;
        let id = session.id().to_owned();
        let kept = store
            .edit_setting(SETTING, move |kept| {
                let mut ended = ids(&kept.unwrap_or_default());
                keep(&mut ended, &id, now);
                ended.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
            })
            .await?;
        // Only after the store has it: a logout that is in memory alone would be undone by a restart.
        *self.ended.write().unwrap_or_else(PoisonError::into_inner) = ids(&kept);
        self.changes.send_replace(());
        Ok(())
    }
}

fn ids(kept: &str) -> BTreeSet<String> {
    kept.lines().map(str::to_owned).collect()
}

/// Adds a session and removes those that have expired, and the earliest to expire where there are too many. Pure.
fn keep(ended: &mut BTreeSet<String>, id: &str, now: Timestamp) {
    ended.insert(id.to_owned());
    let until = |id: &str| id.split_once('.').and_then(|(until, _)| until.parse::<i64>().ok());
    ended.retain(|id| until(id).is_some_and(|until| until > now.timestamp()));
    // Ids begin with the second at which they expire, so the first in order expires first.
    while ended.len() > MOST {
        ended.pop_first();
    }
}
