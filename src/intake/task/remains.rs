//! What became of an execution that nobody watched, and what is done then.

use std::time::Duration;

use super::loss::BrokenExecution;
use super::{Over, RunTask, token};
use crate::execution::{ExecutionRemains, Running, recorded_start};
use crate::intake::slots::Slot;
use crate::report::{OutboxEntry, Start, StoredEnd};
use crate::rest::Backoff;
use crate::run::claim::ClaimPhase;

/// How long a drain waits for processes of a lost execution to be gone that were killed: some cannot be.
const UNKILLABLE: Duration = Duration::from_secs(10);
/// How long a shim that lives and does not answer is left alone at most.
const UNANSWERED: Duration = Duration::from_secs(5);

/// What became of an execution that nobody watched.
pub(super) enum Fate {
    /// It goes on.
    GoesOn(Running),
    /// It is over.
    Over(Option<Start>, StoredEnd),
    /// It was lost, and nothing of it is left alive.
    Lost,
    /// It never began, and never will.
    NeverBegan,
    /// Something of it is left alive and cannot be ended, and we leave: the next start goes on.
    LeftBehind,
}

impl RunTask {
    /// Takes up what the last process left behind.
    pub(super) async fn found(&mut self, mut entry: OutboxEntry, seat: Slot) -> Over {
        let fate = match self.fate(&entry).await {
            // Its record is gone, so it was executed.
            Fate::NeverBegan if entry.start.is_some() => Fate::Lost,
            fate => fate,
        };
        if !matches!(fate, Fate::NeverBegan) {
            self.ours.cancel();
            self.enqueued_told = true;
        }
        match fate {
            Fate::GoesOn(running) => {
                crash_point!(Attached);
                tracing::info!(target: "job_runner_worker.cleanup", "run {} goes on, taken up again", self.run);
                let report = self.context.reporter.serve(entry, true);
                match self.watch(running, report, seat).await {
                    None => Over::Done,
                    Some((report, seat, how)) => self.after_breach(report, seat, how).await,
                }
            }
            Fate::Over(start, end) => {
                tracing::info!(target: "job_runner_worker.cleanup", "run {} ended meanwhile", self.run);
                drop(seat);
                entry.start = start;
                self.context.reporter.serve(entry, true).ended(end).await;
                Over::Done
            }
            Fate::Lost => {
                let report = self.context.reporter.serve(entry, true);
                self.after_breach(report, seat, BrokenExecution::Lost).await
            }
            Fate::LeftBehind => Over::Done,
            Fate::NeverBegan => {
                tracing::info!(target: "job_runner_worker.cleanup", "run {} was not executed yet", self.run);
                // On disk before anything can be started under it.
                (entry.attempt, entry.token) = (entry.attempt.next(), token());
                self.context.reporter.outbox().run(&entry).await;
                self.entry = Some(entry);
                self.travel(ClaimPhase::Claiming, seat, None).await
            }
        }
    }

    /// Finds out what became of an execution. Where its shim lives but does not answer, it is asked again.
    pub(super) async fn fate(&self, entry: &OutboxEntry) -> Fate {
        let execution = &self.context.execution;
        let mut backoff = Backoff::default();
        loop {
            match execution.remains(entry.run, entry.attempt, &entry.token).await {
                ExecutionRemains::Living(record) => match execution.attach(&record).await {
                    Ok(running) => return Fate::GoesOn(running),
                    // About to end, most likely.
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
