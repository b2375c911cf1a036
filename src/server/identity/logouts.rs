//! Sessions that were logged out before their time: their cookies are good for nothing, after a restart neither.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use tokio::sync::{Mutex, watch};

use super::session::Session;
use crate::server::domain::model::Timestamp;
use crate::server::store::{Store, StoreError};

#[cfg(test)]
mod tests;

/// Under which name the store keeps them.
const SETTING: &str = "logged_out_sessions";
/// How many are kept at most. Only who has the operator's token can begin a session, so nobody else can fill this.
const MOST: usize = 10_000;

/// Sessions that were logged out, by their ids.
#[derive(Debug, Default)]
pub struct Logouts {
    ended: RwLock<BTreeSet<String>>,
    /// One writes at a time, so that the store has all of them.
    writing: Mutex<()>,
    /// Told of each.
    changes: watch::Sender<()>,
}

impl Logouts {
    /// Those that the store keeps.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let kept = store.setting(SETTING).await?.unwrap_or_default();
        Ok(Self { ended: RwLock::new(kept.lines().map(str::to_owned).collect()), ..Self::default() })
    }

    /// Whether a session was logged out.
    #[must_use]
    pub fn has(&self, session: &Session) -> bool {
        self.ended.read().unwrap_or_else(PoisonError::into_inner).contains(session.id())
    }

    /// Waits until a session is over: logged out, or too old.
    pub async fn until_over(&self, session: &Session, now: Timestamp) {
        let mut changes = self.changes.subscribe();
        let logged_out = async {
            // We hold the sender.
            while !self.has(session) && changes.changed().await.is_ok() {}
        };
        tokio::select! {
            () = logged_out => {}
            () = tokio::time::sleep(session.remains(now)) => {}
        }
    }

    /// Logs a session out. Those that are over by themselves by now are forgotten.
    ///
    /// # Errors
    /// That the store does not answer: then the session goes on.
    pub async fn end(&self, store: &Store, session: &Session, now: Timestamp) -> Result<(), StoreError> {
        let _writing = self.writing.lock().await;
        let mut ended = self.ended.read().unwrap_or_else(PoisonError::into_inner).clone();
        keep(&mut ended, session.id(), now);
        store.set_setting(SETTING, &ended.iter().map(String::as_str).collect::<Vec<_>>().join("\n")).await?;
        *self.ended.write().unwrap_or_else(PoisonError::into_inner) = ended;
        self.changes.send_replace(());
        Ok(())
    }
}

/// Adds a session and leaves out those that are over by themselves, and the oldest of too many. Pure.
fn keep(ended: &mut BTreeSet<String>, id: &str, now: Timestamp) {
    ended.insert(id.to_owned());
    let until = |id: &str| id.split_once('.').and_then(|(until, _)| until.parse::<i64>().ok());
    ended.retain(|id| until(id).is_some_and(|until| until > now.timestamp()));
    while ended.len() > MOST {
        ended.pop_first();
    }
}
