//! Broken executions: waits for the end of a shortage, or carries out what [`super::loss`] decides about a lost
//! execution.

use std::sync::Arc;

use super::loss::{self, ExecutionLossFacts, Loss, LossVerdict};
use super::{RunTask, TaskEnd, stop_asked};
use crate::execution::random_token;
use crate::intake::slots::Slot;
use crate::report::{LogSource, RunReport, StoredEnd};
use crate::run::Outcome;
use crate::run::claim::{ClaimPhase, Effect};

/// Way in which an execution failed to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BrokenExecution {
    /// The shim died, or the script was never started.
    Lost(Loss),
    /// The script cannot be started yet, because the system is short of a resource; holds the reason.
    Short(String),
}

impl RunTask {
    /// Accounts for a broken execution of a run of the last process, and executes the run again where that is to be.
    pub(super) async fn go_on_after(&mut self, report: RunReport, slot: Slot, broken: BrokenExecution) -> TaskEnd {
        match self.account_for(report, broken).await {
            None => TaskEnd::Done,
            Some(report) => self.proceed(ClaimPhase::Claimed, Effect::Look, slot, Some(report)).await,
        }
    }

    /// Accounts for a broken execution. Returns the report if the run is to be executed again by this process.
    pub(super) async fn account_for(&mut self, report: RunReport, broken: BrokenExecution) -> Option<RunReport> {
        match broken {
            BrokenExecution::Short(reason) => self.wait_for_resources(report, &reason).await,
            BrokenExecution::Lost(loss) => self.account_for_loss(report, loss).await,
        }
    }

    /// Waits for the end of a shortage, keeping the slot.
    async fn wait_for_resources(&mut self, report: RunReport, reason: &str) -> Option<RunReport> {
        let context = Arc::clone(&self.context);
        let wait = self.shortage.get_or_insert_with(|| {
            tracing::error!(
                target: "job_runner_worker.worker",
                run = %self.run,
                attempt = report.entry().attempt_number(),
                execution = report.entry().attempt.0,
                reason,
                "claimed run waits until it can be launched"
            );
            context.shortage.register(reason)
        });
        tokio::select! {
            () = tokio::time::sleep(wait.next_pause()) => Some(report),
            cause = stop_asked(&mut self.signals.stopped) => {
                report.ended(StoredEnd::now(Outcome::Cancelled(cause))).await;
                None
            }
            // The next start launches it.
            () = context.claims_closed() => None,
        }
    }

    async fn account_for_loss(&mut self, mut report: RunReport, loss: Loss) -> Option<RunReport> {
        crash_point!(LossSeen);
        let settings = self.context.settings();
        let entry = report.entry();
        let verdict = loss::decide(&ExecutionLossFacts {
            loss,
            start_is_written: entry.start.is_some(),
            attempt: entry.attempt,
            losses: entry.losses,
            policy: settings.incomplete_runs,
            max_attempts: settings.max_attempts,
            stopped: *self.signals.stopped.borrow(),
            claims: *self.context.claims.borrow(),
        });
        self.log_loss(&report, &verdict);
        match verdict {
            LossVerdict::Report { outcome, .. } => {
                report.ended(StoredEnd::now(outcome)).await;
                None
            }
            LossVerdict::ExecuteAgain { losses } => {
                self.prepare_next_attempt(&mut report, losses).await;
                Some(report)
            }
            LossVerdict::LeaveToNextStart { losses } => {
                self.prepare_next_attempt(&mut report, losses).await;
                None
            }
        }
    }

    /// Writes the next attempt to disk and removes the files of the lost one.
    async fn prepare_next_attempt(&self, report: &mut RunReport, losses: u32) {
        let mut entry = report.entry().clone();
        let lost = entry.attempt;
        entry.losses = losses;
        entry.attempt = lost.next();
        entry.token = random_token();
        (entry.start, entry.claim) = (None, None);
        // The loss is counted before the record is removed: the other way round, a crash in between would make it look
        // like an execution that never began.
        report.relaunched(entry).await;
        crash_point!(LossCounted);
        self.context.execution.logs().forget(self.run, lost);
    }

    fn log_loss(&self, report: &RunReport, verdict: &LossVerdict) {
        let (run, entry) = (self.run, report.entry());
        let (attempt, execution) = (entry.attempt_number(), entry.attempt.0);
        match verdict {
            LossVerdict::ExecuteAgain { losses } => tracing::error!(
                target: "job_runner_worker.worker", %run, attempt, execution, losses,
                "supervising process died; run is executed again"
            ),
            LossVerdict::LeaveToNextStart { losses } => tracing::error!(
                target: "job_runner_worker.worker", %run, attempt, execution, losses,
                "supervising process died; next start executes the run again"
            ),
            LossVerdict::Report { losses, outcome } => tracing::error!(
                target: "job_runner_worker.worker", %run, attempt, execution, losses, outcome = outcome.word(),
                "supervising process died; run is not executed again"
            ),
        }
    }
}
