//! Executions without an end: lost, never begun, or held up by a shortage.

use std::sync::Arc;

use super::{Over, RunTask, stop_asked, token};
use crate::intake::slots::Slot;
use crate::report::{LogSource, RunReport, StoredEnd};
use crate::run::claim::ClaimPhase;
use crate::run::{Cause, IncompleteRuns, Outcome};

/// Executions that never began after which a run is given up.
const NEVER_BEGAN: u32 = 10;

/// Way in which an execution failed to end.
pub(super) enum BrokenExecution {
    /// The script was started, and its shim died.
    Lost,
    /// The script was never started.
    NeverBegan,
    /// The script cannot be started yet, because the system is short of a resource; holds the reason.
    Short(String),
}

impl RunTask {
    pub(super) async fn after_breach(&mut self, report: RunReport, slot: Slot, how: BrokenExecution) -> Over {
        match self.account(report, how).await {
            None => Over::Done,
            Some(report) => self.travel(ClaimPhase::Claimed, slot, Some(report)).await,
        }
    }

    /// Decides about an execution that was lost or could not begin. Returns the report if the run is to be executed
    /// again.
    pub(super) async fn account(&mut self, report: RunReport, how: BrokenExecution) -> Option<RunReport> {
        match how {
            BrokenExecution::Short(why) => self.wait_for_means(report, &why).await,
            BrokenExecution::Lost => self.lost(report, true).await,
            BrokenExecution::NeverBegan => self.lost(report, false).await,
        }
    }

    /// Waits for the end of a shortage, keeping the slot.
    pub(super) async fn wait_for_means(&mut self, report: RunReport, why: &str) -> Option<RunReport> {
        let context = Arc::clone(&self.context);
        let wait = self.short.get_or_insert_with(|| {
            tracing::error!(
                target: "job_runner_worker.worker",
                "run {} is claimed and waits until it can be launched: {why}",
                self.run
            );
            context.shortage.met(why)
        });
        tokio::select! {
            () = tokio::time::sleep(wait.pause()) => Some(report),
            cause = stop_asked(&mut self.stopped) => {
                report.ended(StoredEnd::now(Outcome::Cancelled(cause))).await;
                None
            }
            // The next start launches it.
            () = context.draining.cancelled() => None,
        }
    }

    // Counts the loss, then either ends the run or prepares its next attempt. A run that never began is repeated
    // whatever the settings say, but not for ever.
    pub(super) async fn lost(&mut self, mut report: RunReport, began: bool) -> Option<RunReport> {
        crash_point!(LossSeen);
        let mut entry = report.entry().clone();
        let began = began || entry.start.is_some() || entry.attempt.0 >= NEVER_BEGAN;
        entry.losses += u32::from(began);
        let settings = self.context.settings();
        let stopped = *self.stopped.borrow();
        let again = (!began || settings.incomplete_runs == IncompleteRuns::Reset)
            && entry.losses < settings.max_attempts
            && entry.attempt.0 < NEVER_BEGAN + settings.max_attempts
            && stopped.is_none();
        tracing::error!(
            target: "job_runner_worker.worker",
            "run {} was lost {} time(s): its supervising process died; {}",
            self.run,
            entry.losses,
            if again { "it is executed again" } else { "it is reported as failed" }
        );
        if !again {
            let outcome = match stopped {
                // A run that is to be given back counts as given back even if its execution was lost: nothing of it is
                // left.
                Some(cause) if !began || cause == Cause::GivenBack => Outcome::Cancelled(cause),
                _ => Outcome::Lost(entry.losses.max(1)),
            };
            report.ended(StoredEnd::now(outcome)).await;
            return None;
        }
        let lost = entry.attempt;
        entry.attempt = entry.attempt.next();
        entry.token = token();
        (entry.start, entry.claim) = (None, None);
        // The loss is counted before the record is removed: the other way round, a crash in between would make it look
        // like an execution that never began.
        report.relaunched(entry).await;
        crash_point!(LossCounted);
        self.context.execution.logs().forget(self.run, lost);
        // During a drain the next start executes it.
        if self.context.draining.is_cancelled() { None } else { Some(report) }
    }
}
