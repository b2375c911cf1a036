//! Lost workers: marks the runs of a worker that has fallen silent as lost, and publishes which workers are silent.
//! `worker_table` decides that a worker is silent, and `domain::life::lose` what becomes of each of its runs.

use tokio::time::Instant;

use super::Dispatcher;
use crate::server::peers::PeerMessage;
use crate::server::store::StoreError;
use crate::server::store::changes::Change;

impl Dispatcher {
    /// Marks the runs of workers that have fallen silent as lost.
    pub(super) async fn lose_the_silent(&mut self, now: Instant) -> Result<(), StoreError> {
        while let Some(worker) = self.workers.falls_silent(now) {
            let max_losses = self.app.settings.max_losses;
            let lost = self.store()?.mark_lost(worker, max_losses, (self.clocks.wall)()).await?;
            // Only now: if marking the runs as lost fails, the next pass finds the worker again.
            self.workers.fell_silent(worker);
            // Runs that are pinned to the worker now wait for another reason.
            self.agenda.due = true;
            let key = self.workers.key(worker).map(ToString::to_string).unwrap_or_default();
            for run in lost {
                tracing::warn!(
                    target: "job_runner.health",
                    run = %run.id,
                    job = %run.job,
                    attempt = %run.attempt,
                    worker = key,
                    "run is lost; its worker does not answer"
                );
            }
        }
        Ok(())
    }

    /// Publishes which workers are silent, and a change for each of which that is new.
    pub(super) fn show_the_silent(&self) {
        let silent = &self.workers.availability().silent;
        for worker in self.app.silent_workers.update(silent) {
            self.app.peers.send(&PeerMessage::Silent(worker, silent.contains(&worker)));
            self.app.changes().publish(Change::WorkerChanged(worker));
        }
    }
}
