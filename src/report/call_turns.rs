//! Call turns: limits how many couriers call the server at once, and how fast rejected calls are made again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// Most couriers that call the server at the same time.
const CALLING: usize = 64;
/// Most couriers at the same time for runs that were over at the start, as long as they meet no failure: each of them
/// needs memory.
const DELIVERING: usize = 128;
/// Pause between two retries of rejected calls, over all couriers: a server that rejects everything is not pressed by
/// all of them.
const RETRY_PACE: Duration = Duration::from_millis(200);

/// Turns that all couriers take.
pub(super) struct CallTurns {
    /// Permits to call the server.
    pub(super) calling: Semaphore,
    /// Permits to deliver a run that was over at the start.
    pub(super) delivering: Arc<Semaphore>,
    /// Changes when everything that waits for a retry is to be reported at once.
    pub(super) retries: watch::Sender<()>,
    /// Instant of the next retry of a rejected call.
    next_retry: Mutex<Option<Instant>>,
}

impl Default for CallTurns {
    fn default() -> Self {
        Self {
            calling: Semaphore::new(CALLING),
            delivering: Arc::new(Semaphore::new(DELIVERING)),
            retries: watch::Sender::new(()),
            next_retry: Mutex::default(),
        }
    }
}

impl CallTurns {
    /// Waits for a turn to make a call again that was rejected before.
    pub(super) async fn wait_to_retry(&self) {
        // Each caller takes the next free instant, so the lock is not held while it waits.
        let at = {
            let mut next = self.next_retry.lock().unwrap_or_else(PoisonError::into_inner);
            let at = next.unwrap_or_else(Instant::now).max(Instant::now());
            *next = Some(at + RETRY_PACE);
            at
        };
        tokio::time::sleep_until(at).await;
    }
}
