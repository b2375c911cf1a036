//! Runs of the last process: finds out what became of their executions and takes them up.

use std::time::Duration;

use super::broken_execution::BrokenExecution;
use super::loss::Loss;
use super::{RunTask, TaskEnd};
use crate::execution::{ExecutionRemains, Running, random_token, recorded_start};
use crate::intake::slots::Slot;
use crate::report::{OutboxEntry, Start, StoredEnd};
use crate::run::claim::{ClaimPhase, Effect};
use crate::upstream::Backoff;

/// Time that a drain gives killed processes of a lost execution to disappear; processes in uninterruptible sleep do
/// not.
const UNKILLABLE_PATIENCE: Duration = Duration::from_secs(10);
/// Longest pause before a living shim that does not answer is tried again.
const MAX_ATTACH_PAUSE: Duration = Duration::from_secs(5);

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
    pub(super) async fn take_up(&mut self, mut entry: OutboxEntry, slot: Slot) -> TaskEnd {
        let (run, attempt, execution) = (self.run, entry.attempt_number(), entry.attempt.0);
        let fate = match self.fate(&entry).await {
            // The outbox knows of a start, so the record was removed after an execution.
            Fate::NeverBegan if entry.start.is_some() => Fate::Lost,
            fate => fate,
        };
        // Only an execution proves that the claim was accepted; otherwise the claim is made again.
        if !matches!(fate, Fate::NeverBegan) {
            self.signals.ours.cancel();
            self.enqueued_told = true;
        }
        match fate {
            Fate::GoesOn(running) => {
                crash_point!(Attached);
                tracing::info!(target: "job_runner_worker.cleanup", %run, attempt, execution, "running script is taken up again");
                let report = self.context.reporter.serve(entry, true);
                match self.watch(running, report, slot).await {
                    None => TaskEnd::Done,
                    Some((report, slot, broken)) => self.go_on_after(report, slot, broken).await,
                }
            }
            Fate::Over(start, end) => {
                tracing::info!(target: "job_runner_worker.cleanup", %run, attempt, execution, "run has ended while no worker watched it");
                drop(slot);
                entry.start = start;
                self.context.reporter.serve(entry, true).ended(end).await;
                TaskEnd::Done
            }
            Fate::Lost => {
                let report = self.context.reporter.serve(entry, true);
                self.go_on_after(report, slot, BrokenExecution::Lost(Loss::ShimDied)).await
            }
            Fate::LeftBehind => TaskEnd::Done,
            Fate::NeverBegan => {
                tracing::info!(target: "job_runner_worker.cleanup", %run, attempt, execution, "run was not executed yet; claiming it again");
                // The new attempt and token are on disk before anything can be started under them.
                (entry.attempt, entry.token) = (entry.attempt.next(), random_token());
                self.context.reporter.outbox().run(&entry).await;
                self.entry = Some(entry);
                self.proceed(ClaimPhase::Claiming, Effect::Look, slot, None).await
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
                    Err(_) => tokio::time::sleep(backoff.next(None).min(MAX_ATTACH_PAUSE)).await,
                },
                ExecutionRemains::Ended(record, end) => return Fate::Over(recorded_start(&record), end),
                ExecutionRemains::Orphaned(record) => {
                    let leaving = async {
                        self.context.claims_closed().await;
                        tokio::time::sleep(UNKILLABLE_PATIENCE).await;
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
