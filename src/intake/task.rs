//! Task of one run: looks it up, claims it, launches it and watches it end. Performs the effects that the pure
//! [`crate::run::claim`] decides.
//!
//! The task owns the run's outbox entry until the launch, and its slot until the script has ended. From the launch on,
//! the run's courier reports to the server.

mod asking;
mod loss;
mod remains;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Context;
use super::lookups::{LookupGuard, Vain};
use super::shortage::Wait;
use super::slots::Slot;
use crate::report::{OutboxEntry, RunReport, StoredEnd};
use crate::rest::{CallFailure, JobView, RunView};
use crate::run::claim::{ClaimPhase, Effect, Input};
use crate::run::{Attempt, Cause, Event, Outcome, RunId};

/// Occasion to start the task of a run.
#[derive(Debug)]
pub(super) enum Begin {
    /// The run was announced or listed; with the permission for its lookup, if such lookups are counted.
    Hinted(Option<LookupGuard>),
    /// The last process left the run: claimed or about to be, perhaps executed, perhaps ended.
    Found(OutboxEntry),
}

/// End of a run's task.
#[derive(Debug)]
pub(super) enum Over {
    /// The worker has nothing left to do for the run, or leaves it to the next start.
    Done,
    /// The run could not be looked up or claimed, and is to be tried again.
    Again(LookupError),
}

/// Failure to look up or claim a run, with the pause that the server asked for, if it did.
#[derive(Debug)]
pub(super) struct LookupError {
    pub(super) why: String,
    pub(super) retry_after: Option<Duration>,
}

pub(super) struct RunTask {
    context: Arc<Context>,
    run: RunId,
    stopped: watch::Receiver<Option<Cause>>,
    ours: CancellationToken,
    over: CancellationToken,
    /// Entry of the run in the outbox, as it is on disk, until a report takes it over.
    entry: Option<OutboxEntry>,
    /// Instant of the last lookup.
    looked: Instant,
    /// Result of the last lookup.
    view: Option<RunView>,
    /// Job of the run, if it came with the announcement.
    job: Option<JobView>,
    /// Request for the job, started while the run is claimed.
    asked: Option<AbortOnDropHandle<Result<JobView, CallFailure>>>,
    /// Timestamp at which the claim began; the claim is sent with it.
    since: DateTime<Utc>,
    /// Attempt number that the server gave with the claim.
    claimed: Option<Attempt>,
    enqueued_told: bool,
    /// Registration with [`super::shortage`] while the launch waits for resources.
    short: Option<Wait>,
    /// Permit to be looked up and claimed; given back while the task waits after a failure.
    turn: Option<OwnedSemaphorePermit>,
    /// Permission to look up a run that was announced and may not exist.
    hinted: Option<LookupGuard>,
}

/// Reason why the way to the launch ends early.
enum Halt {
    Again(LookupError),
    Stopped(Cause),
    /// The worker leaves or sleeps, and the run was not claimed yet.
    LeftToOthers,
}

impl RunTask {
    pub(super) fn new(
        context: Arc<Context>,
        run: RunId,
        stopped: watch::Receiver<Option<Cause>>,
        ours: CancellationToken,
        over: CancellationToken,
    ) -> Self {
        Self {
            context,
            run,
            stopped,
            ours,
            over,
            entry: None,
            looked: Instant::now(),
            view: None,
            job: None,
            asked: None,
            since: Utc::now(),
            claimed: None,
            enqueued_told: false,
            short: None,
            turn: None,
            hinted: None,
        }
    }

    /// Carries out the run until none of its processes is left.
    pub(super) async fn go(mut self, begin: Begin, slot: Slot) -> Over {
        let over = self.over.clone();
        let end = self.begin(begin, slot).await;
        // Cancelled here and nowhere else: a task that was dropped or has panicked did not see its run end.
        over.cancel();
        end
    }

    async fn begin(&mut self, begin: Begin, slot: Slot) -> Over {
        match begin {
            Begin::Hinted(look) => {
                self.hinted = look;
                self.turn = tokio::select! {
                    turn = Arc::clone(&self.context.claiming).acquire_owned() => turn.ok(),
                    () = self.context.draining.cancelled() => return Over::Done,
                };
                self.travel(ClaimPhase::Hinted, slot, None).await
            }
            Begin::Found(entry) => self.found(entry, slot).await,
        }
    }

    /// Carries out a run from a phase of the claim through its execution. `report` exists if an earlier execution was
    /// lost.
    async fn travel(&mut self, mut phase: ClaimPhase, mut slot: Slot, mut report: Option<RunReport>) -> Over {
        let mut effect = Effect::Look;
        loop {
            let answer = match effect {
                Effect::Look => self.look(phase).await.map(Input::Seen),
                Effect::Claim => self.claim(report.is_some()).await,
                Effect::Launch => match self.execute(report.take(), slot).await {
                    None => return Over::Done,
                    Some((lost, back, how)) => {
                        slot = back;
                        match self.account(lost, how).await {
                            None => return Over::Done,
                            Some(lost) => report = Some(lost),
                        }
                        Ok(Input::Lost)
                    }
                },
                Effect::Forget => return self.drop_it(report).await,
                Effect::Nothing => return Over::Done,
            };
            let input = match answer {
                Ok(input) => input,
                Err(Halt::Again(trouble)) => return Over::Again(trouble),
                Err(Halt::Stopped(cause)) => return self.cancelled(phase, report, cause).await,
                Err(Halt::LeftToOthers) => return Over::Done,
            };
            (phase, effect) = phase.step(input);
            if phase == ClaimPhase::Dropped
                && let Some(look) = self.hinted.take()
            {
                look.vain(if self.view.is_some() { Vain::Done } else { Vain::Unknown });
            }
            if phase == ClaimPhase::Claimed {
                self.hinted = None;
                self.turn = None;
                self.ours.cancel();
                if !std::mem::replace(&mut self.enqueued_told, true) {
                    self.context.reporter.event(Event::RunEnqueued(self.run));
                }
            }
        }
    }

    // Gives up a run that turned out not to be ours, together with what is on disk of it.
    async fn drop_it(&mut self, report: Option<RunReport>) -> Over {
        let written = self.entry.take().or_else(|| report.as_ref().map(|report| report.entry().clone()));
        if let Some(entry) = written {
            tracing::warn!(target: "job_runner_worker.enqueuer", "run {} is not ours any more", self.run);
            self.context.reporter.forget(&entry).await;
        }
        Over::Done
    }

    /// Ends a run that was stopped before its script was started.
    async fn cancelled(&mut self, phase: ClaimPhase, report: Option<RunReport>, cause: Cause) -> Over {
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
        Over::Done
    }

    // A claim in flight is not interrupted: its outcome must be known before the run can be cancelled.
    fn check_stopped(&self, phase: ClaimPhase) -> Result<(), Halt> {
        match *self.stopped.borrow() {
            Some(cause) if phase != ClaimPhase::Claiming => Err(Halt::Stopped(cause)),
            _ => Ok(()),
        }
    }

    /// Waits for `pause`, or until the run is stopped. Gives the permit back, so that other runs need not wait.
    async fn rest(&mut self, pause: Duration) {
        self.turn = None;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop_asked(&mut self.stopped), if self.stopped.borrow().is_none() => {}
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

/// Returns a random token of 122 unpredictable bits, from the kernel.
fn token() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid")
        .map(|uuid| uuid.trim().replace('-', ""))
        .unwrap_or_else(|_| format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)))
}
