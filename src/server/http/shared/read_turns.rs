//! Turns at reading: an identity that reads a lot waits for its own earlier reads instead of making others wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::server::store::READERS;
use crate::server::store::rest_lists::Scope;

/// Reads of one identity that may be in progress at once.
const OF_ONE: usize = 2;
/// Reads of all identities together that may be in progress at once: one fewer than the store's readers, so that the
/// dispatcher and the pages always find one.
const OF_ALL: usize = READERS - 1;

/// Turns by identity. Entries are never removed: there is one for each worker that has ever read, and one for all
/// operators.
#[derive(Debug)]
pub struct Turns {
    of: Mutex<HashMap<Scope, Arc<Semaphore>>>,
    all: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { of: Mutex::default(), all: Arc::new(Semaphore::new(OF_ALL)) }
    }
}

/// Turn of one read; dropping it ends the turn.
#[derive(Debug)]
pub struct Turn {
    _mine: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Waits until fewer than two reads of the identity and fewer than the total bound are in progress.
    pub async fn take(&self, scope: Scope) -> Turn {
        let mine = {
            let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(of.entry(scope).or_insert_with(|| Arc::new(Semaphore::new(OF_ONE))))
        };
        // The identity's own turn comes first, so that it never has more than two places in the queue that all share.
        // Neither semaphore is ever closed, so neither wait can fail.
        let mine = mine.acquire_owned().await.ok();
        Turn { _mine: mine, _of_all: Arc::clone(&self.all).acquire_owned().await.ok() }
    }
}
