//! Reporter state: what the reporter and its couriers share, that is recipient, outbox, settings, turns and dead letters.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::call_turns::CallTurns;
use super::outbox::LETTERS_KEPT;
use super::outbox_entry::DeadLetter;
use super::served_runs::ServedRuns;
use super::{LogSource, Outbox, Recipient, Settings};
use crate::run::RunId;

/// State that the reporter and all its couriers share.
pub(super) struct ReporterShared {
    pub(super) recipient: Recipient,
    pub(super) outbox: Outbox,
    pub(super) logs: Arc<dyn LogSource>,
    pub(super) settings: watch::Sender<Settings>,
    pub(super) turns: CallTurns,
    /// Cancelled when all couriers are to end, each after the call that it is in.
    pub(super) leave: CancellationToken,
    pub(super) runs: ServedRuns,
    pub(super) dead_letters: Mutex<VecDeque<DeadLetter>>,
}

impl ReporterShared {
    /// Locks the dead letters, the oldest first.
    pub(super) fn lock_letters(&self) -> MutexGuard<'_, VecDeque<DeadLetter>> {
        self.dead_letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn to make a call again that was rejected before; not once the couriers are to end.
    pub(super) async fn wait_for_retry_turn(&self) {
        tokio::select! {
            () = self.turns.wait_to_retry() => {}
            () = self.leave.cancelled() => {}
        }
    }

    /// Removes the dead letters of a run whose result the server has taken, in memory and on disk.
    pub(super) async fn remove_letters(&self, run: RunId) {
        let was_kept = {
            let mut letters = self.lock_letters();
            let before = letters.len();
            letters.retain(|letter| letter.run != run);
            letters.len() < before
        };
        if was_kept {
            tracing::info!(target: "job_runner_worker.models", %run, "result was accepted after it had been rejected");
            self.outbox.forget_letters(run).await;
        }
    }

    /// Writes a dead letter to memory and disk, in place of an older one about the same fact of the run.
    pub(super) async fn write_letter(&self, letter: DeadLetter) {
        {
            let mut letters = self.lock_letters();
            letters.retain(|known| (known.run, &known.what) != (letter.run, &letter.what));
            letters.push_back(letter.clone());
            let surplus = letters.len().saturating_sub(LETTERS_KEPT);
            letters.drain(..surplus);
        }
        self.outbox.dead_letter(letter).await;
    }
}
