//! Runs of the last process: finds out what became of their executions and takes them up.

use std::time::Duration;

use super::loss::BrokenExecution;
use super::{Over, RunTask, token};
use crate::execution::{ExecutionRemains, Running, recorded_start};
use crate::intake::slots::Slot;
use crate::report::{OutboxEntry, Start, StoredEnd};
use crate::rest::Backoff;
use crate::run::claim::ClaimPhase;

/// Time that a drain gives killed processes of a lost execution to disappear; processes in uninterruptible sleep do
/// not.
const UNKILLABLE: Duration = Duration::from_secs(10);
/// Longest pause before a living shim that does not answer is tried again.
const UNANSWERED: Duration = Duration::from_secs(5);

/// Fate of an execution that was not watched for a while.
pub(super) enum Fate {
    /// The script is running and its shim is connected.
    GoesOn(Running),
    /// The script has ended; holds its start, if it was started, and its end.
    Over(Option<Start>, StoredEnd),
    /// The shim died, and none of the script's processes is left.
    Lost,
    /// The script was not started and will not be.
    NeverBegan,
    /// Processes of a lost execution are left that cannot be killed, and the worker leaves: the next start goes on.
    LeftBehind,
}

impl RunTask {
    /// Takes up a run of the last process.
    pub(super) async fn found(&mut self, mut entry: OutboxEntry, slot: Slot) -> Over {
        let fate = match self.fate(&entry).await {
            // The outbox knows of a start, so the record was removed after an execution.
            Fate::NeverBegan if entry.start.is_some() => Fate::Lost,
            fate => fate,
        };
        // Only an execution proves that the claim was accepted; otherwise the claim is made again.
        if !matches!(fate, Fate::NeverBegan) {
            self.ours.cancel();
            self.enqueued_told = true;
        }
        match fate {
            Fate::GoesOn(running) => {
                crash_point!(Attached);
                tracing::info!(target: "job_runner_worker.cleanup", "run {} goes on, taken up again", self.run);
                let report = self.context.reporter.serve(entry, true);
                match self.watch(running, report, slot).await {
                    None => Over::Done,
                    Some((report, slot, how)) => self.after_breach(report, slot, how).await,
                }
            }
            Fate::Over(start, end) => {
                tracing::info!(target: "job_runner_worker.cleanup", "run {} ended meanwhile", self.run);
                drop(slot);
                entry.start = start;
                self.context.reporter.serve(entry, true).ended(end).await;
                Over::Done
            }
            Fate::Lost => {
                let report = self.context.reporter.serve(entry, true);
                self.after_breach(report, slot, BrokenExecution::Lost).await
            }
            Fate::LeftBehind => Over::Done,
            Fate::NeverBegan => {
                tracing::info!(target: "job_runner_worker.cleanup", "run {} was not executed yet", self.run);
                // The new attempt and token are on disk before anything can be started under them.
                (entry.attempt, entry.token) = (entry.attempt.next(), token());
                self.context.reporter.outbox().run(&entry).await;
                self.entry = Some(entry);
                self.travel(ClaimPhase::Claiming, slot, None).await
            }
        }
    }

    /// Finds out what became of an execution. A shim that lives but does not answer is tried again.
    pub(super) async fn fate(&self, entry: &OutboxEntry) -> Fate {
        let execution = &self.context.execution;
        let mut backoff = Backoff::default();
        loop {
            match execution.remains(entry.run, entry.attempt, &entry.token).await {
                ExecutionRemains::Living(record) => match execution.attach(&record).await {
                    Ok(running) => return Fate::GoesOn(running),
                    // The shim is most likely about to end.
                    Err(_) => tokio::time::sleep(backoff.next(None).min(UNANSWERED)).await,
                },
                ExecutionRemains::Ended(record, end) => return Fate::Over(recorded_start(&record), end),
                ExecutionRemains::Orphaned(record) => {
                    let leaving = async {
                        self.context.draining.cancelled().await;
                        tokio::time::sleep(UNKILLABLE).await;
                    };
                    return tokio::select! {
                        () = execution.clean_up(record) => Fate::Lost,
                        () = leaving => Fate::LeftBehind,
                    };
                }
                ExecutionRemains::Nothing => return Fate::NeverBegan,
            }
        }
    }
}
