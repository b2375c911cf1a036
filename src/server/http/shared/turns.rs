//! Turns at reading: whoever reads much waits for itself, not others for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::server::store::READERS;
use crate::server::store::lists::Scope;

/// How many questions of one identity are asked of the store at once.
const OF_ONE: usize = 2;
/// How many of all together: the dispatcher and the pages always find a reader.
const OF_ALL: usize = READERS as usize - 1;

/// Whose turn it is. There is one entry for each worker that ever asked.
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

/// A turn, over when it is dropped.
#[derive(Debug)]
pub struct Turn {
    _mine: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Waits for a turn.
    pub async fn take(&self, scope: Scope) -> Turn {
        let mine = {
            let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(of.entry(scope).or_insert_with(|| Arc::new(Semaphore::new(OF_ONE))))
        };
        // First among one's own, so that nobody waits in everybody's row with more than that. Neither is ever closed.
        let mine = mine.acquire_owned().await.ok();
        Turn { _mine: mine, _of_all: Arc::clone(&self.all).acquire_owned().await.ok() }
    }
}
