//! Task of one run: reads it, claims it, launches it and watches it end. Carries out the effects that the pure
//! [`crate::run::claim`] decides.
//!
//! The task owns the run's outbox entry until the launch, and its slot until the script has ended. From the launch on,
//! the run's courier reports to the server.

mod asking;
mod broken_execution;
mod execution_watch;
mod fate;
mod loss;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Context;
use super::launch_shortage::ShortageWait;
use super::lookup_budget::{LookupPermit, WastedLookup};
use super::run_handle::RunSignals;
use super::slots::Slot;
use crate::report::{OutboxEntry, RunReport, StoredEnd};
use crate::run::claim::{ClaimPhase, Effect, Input};
use crate::run::{Attempt, Cause, Event, Outcome, RunId};
use crate::upstream::CallFailure;
use crate::upstream::job_runner::{JobView, RunView};

/// Occasion to start the task of a run.
#[derive(Debug)]
pub(super) enum RunStart {
    /// The run was announced or listed; with the permit for its lookup, if such lookups are counted.
    Announced(Option<LookupPermit>),
    /// The last process left the run: claimed or about to be, perhaps executed, perhaps ended.
    LeftBehind(OutboxEntry),
    /// The run was given to this worker, and its entry is in the outbox.
    Accepted(OutboxEntry),
}

/// End of a run's task.
#[derive(Debug)]
pub(super) enum TaskEnd {
    /// The worker has nothing left to do for the run, or leaves it to the next start.
    Done,
    /// The run could not be looked up or claimed, and is to be tried again.
    Retry(LookupFailure),
}

/// Failure to look up or claim a run, with the pause that the server asked for, if it did.
#[derive(Debug)]
pub(super) struct LookupFailure {
    pub(super) error: String,
    pub(super) retry_after: Option<Duration>,
}

pub(super) struct RunTask {
    context: Arc<Context>,
    run: RunId,
    signals: RunSignals,
    /// Entry of the run in the outbox, as it is on disk, until a report takes it over.
    entry: Option<OutboxEntry>,
    /// Instant of the last read of the run.
    read_at: Instant,
    /// Result of the last read of the run.
    view: Option<RunView>,
    /// Job of the run, if it came with the announcement.
    job: Option<JobView>,
    /// Request for the job, started while the run is claimed.
    job_request: Option<AbortOnDropHandle<Result<JobView, CallFailure>>>,
    /// Timestamp at which the claim began; the claim is sent with it.
    claim_begun: DateTime<Utc>,
    /// Attempt number that the server gave with the claim.
    claimed: Option<Attempt>,
    enqueued_told: bool,
    /// Registration with [`super::shortage`] while the launch waits for resources.
    shortage: Option<ShortageWait>,
    /// Permit to read and claim the run; given back while the task waits after a failure.
    claim_permit: Option<OwnedSemaphorePermit>,
    /// Permit to read a run that was announced and may not exist.
    lookup_permit: Option<LookupPermit>,
}

/// Reason why the way to the launch ends early.
enum Halt {
    Retry(LookupFailure),
    Stopped(Cause),
    /// The worker leaves or sleeps, and the run was not claimed yet.
    LeftToOthers,
}

impl RunTask {
    pub(super) fn new(context: Arc<Context>, run: RunId, signals: RunSignals) -> Self {
        Self {
            context,
            run,
            signals,
            entry: None,
            read_at: Instant::now(),
            view: None,
            job: None,
            job_request: None,
            claim_begun: Utc::now(),
            claimed: None,
            enqueued_told: false,
            shortage: None,
            claim_permit: None,
            lookup_permit: None,
        }
    }

    /// Carries out the run until none of its processes is left.
    pub(super) async fn run(mut self, start: RunStart, slot: Slot) -> TaskEnd {
        let over = self.signals.over.clone();
        let end = self.start(start, slot).await;
        // Cancelled here and nowhere else: a task that was dropped or has panicked did not see its run end.
        over.cancel();
        end
    }

    async fn start(&mut self, start: RunStart, slot: Slot) -> TaskEnd {
        match start {
            RunStart::Announced(permit) => {
                self.lookup_permit = permit;
                self.claim_permit = tokio::select! {
                    permit = Arc::clone(&self.context.claiming).acquire_owned() => permit.ok(),
                    () = self.context.claims_closed() => return TaskEnd::Done,
                };
                self.proceed(ClaimPhase::Hinted, Effect::Look, slot, None).await
            }
            RunStart::Accepted(entry) => {
                self.signals.ours.cancel();
                self.entry = Some(entry);
                match self.check_stopped(ClaimPhase::Claimed) {
                    Err(Halt::Stopped(cause)) => self.cancelled(ClaimPhase::Claimed, None, cause).await,
                    _ => self.proceed(ClaimPhase::Claimed, Effect::Launch, slot, None).await,
                }
            }
            RunStart::LeftBehind(entry) => self.take_up(entry, slot).await,
        }
    }

    /// Carries out a run from a phase of the claim, and the effect that is due in it, through its execution. `report`
    /// exists if an earlier execution was lost.
    async fn proceed(
        &mut self,
        mut phase: ClaimPhase,
        mut effect: Effect,
        mut slot: Slot,
        mut report: Option<RunReport>,
    ) -> TaskEnd {
        loop {
            let answer = match effect {
                Effect::Look => self.read_run(phase).await.map(Input::Seen),
                Effect::Claim => self.claim(report.is_some()).await,
                Effect::Launch => match self.execute(report.take(), slot).await {
                    None => return TaskEnd::Done,
                    Some((broken_report, kept_slot, broken)) => {
                        slot = kept_slot;
                        match self.account_for(broken_report, broken).await {
                            None => return TaskEnd::Done,
                            again => report = again,
                        }
                        Ok(Input::Lost)
                    }
                },
                Effect::Forget => return self.give_up(report).await,
                Effect::Nothing => return TaskEnd::Done,
            };
            let input = match answer {
                Ok(input) => input,
                Err(Halt::Retry(failure)) => return TaskEnd::Retry(failure),
                Err(Halt::Stopped(cause)) => return self.cancelled(phase, report, cause).await,
                Err(Halt::LeftToOthers) => return TaskEnd::Done,
            };
            (phase, effect) = phase.step(input);
            if phase == ClaimPhase::Dropped
                && let Some(permit) = self.lookup_permit.take()
            {
                let exists = self.view.is_some();
                permit.charge(if exists { WastedLookup::NotStartable } else { WastedLookup::Unknown });
            }
            if phase == ClaimPhase::Claimed {
                self.lookup_permit = None;
                self.claim_permit = None;
                self.signals.ours.cancel();
                if !std::mem::replace(&mut self.enqueued_told, true) {
                    self.context.reporter.event(Event::RunEnqueued(self.run));
                }
            }
        }
    }

    // Gives up a run that turned out not to be ours, together with what is on disk of it.
    async fn give_up(&mut self, report: Option<RunReport>) -> TaskEnd {
        let written = self.entry.take().or_else(|| report.as_ref().map(|report| report.entry().clone()));
        if let Some(entry) = written {
            tracing::warn!(
                target: "job_runner_worker.enqueuer",
                run = %self.run,
                attempt = entry.attempt_number().or(self.claimed.map(|attempt| attempt.0)),
                execution = entry.attempt.0,
                "run is no longer this worker's"
            );
            self.context.reporter.forget(&entry).await;
        }
        TaskEnd::Done
    }

    /// Ends a run that was stopped before its script was started.
    async fn cancelled(&mut self, phase: ClaimPhase, report: Option<RunReport>, cause: Cause) -> TaskEnd {
        match (phase, report) {
            // The server counts the run as claimed by us, so it must hear how it ended.
            (ClaimPhase::Claimed, None) => {
                if let Some(entry) = self.entry.take() {
                    let report = self.context.reporter.serve(OutboxEntry { claim: self.claimed, ..entry }, false);
                    report.ended(StoredEnd::now(Outcome::Cancelled(cause))).await;
                }
            }
            (_, Some(report)) => report.ended(StoredEnd::now(Outcome::Cancelled(cause))).await,
            // Never claimed, or not known to be claimed: the next start finds out.
            (_, None) => {}
        }
        TaskEnd::Done
    }

    // A claim in flight is not interrupted: its outcome must be known before the run can be cancelled.
    fn check_stopped(&self, phase: ClaimPhase) -> Result<(), Halt> {
        match *self.signals.stopped.borrow() {
            Some(cause) if phase != ClaimPhase::Claiming => Err(Halt::Stopped(cause)),
            _ => Ok(()),
        }
    }

    /// Waits for `pause`, or until the run is stopped. Gives the permit back, so that other runs need not wait.
    async fn pause(&mut self, pause: Duration) {
        self.claim_permit = None;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop_asked(&mut self.signals.stopped), if self.signals.stopped.borrow().is_none() => {}
        }
    }
}

/// Waits until the run is to be stopped and returns the cause.
async fn stop_asked(stopped: &mut watch::Receiver<Option<Cause>>) -> Cause {
    match stopped.wait_for(Option::is_some).await.map(|cause| *cause) {
        Ok(Some(cause)) => cause,
        _ => std::future::pending().await,
    }
}
