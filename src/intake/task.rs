//! One run on its way: look, claim, launch, watch it end. The decisions are [`crate::run::claim`]'s; this
//! is their hands.
//!
//! The task owns the run's entry until the launch, and its seat until the script is over; what is told
//! of the run from the launch on is its courier's.

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

/// How a run comes to us.
#[derive(Debug)]
pub(super) enum Begin {
    /// Somebody said that it is due; the look, if such looks are counted.
    Hinted(Option<LookupGuard>),
    /// It was left behind: claimed or about to be, perhaps executed, perhaps over.
    Found(OutboxEntry),
}

/// How the task of a run ends.
#[derive(Debug)]
pub(super) enum Over {
    /// Nothing is left to do here.
    Done,
    /// It could not be looked up or claimed, and should be tried again.
    Again(LookupError),
}

/// Why a run could not be looked up or claimed.
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
    /// What is on disk of it.
    entry: Option<OutboxEntry>,
    /// When it was last looked at.
    looked: Instant,
    /// What was seen then.
    view: Option<RunView>,
    /// Its job, if that came with the order.
    job: Option<JobView>,
    /// Its job, while it is asked for.
    asked: Option<AbortOnDropHandle<Result<JobView, CallFailure>>>,
    /// Since when we claim it.
    since: DateTime<Utc>,
    /// Which attempt the server says this is.
    claimed: Option<Attempt>,
    enqueued_told: bool,
    /// That it waits for the means to be launched.
    short: Option<Wait>,
    /// Its turn to be looked up and claimed, while that goes well.
    turn: Option<OwnedSemaphorePermit>,
    /// The look at what may be no run at all.
    hinted: Option<LookupGuard>,
}

/// Why the way to the launch ends early.
enum Halt {
    Again(LookupError),
    Stopped(Cause),
    /// We leave, and nobody claimed it yet.
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

    /// Until nothing is executed any more.
    pub(super) async fn go(mut self, begin: Begin, seat: Slot) -> Over {
        let over = self.over.clone();
        let end = self.begin(begin, seat).await;
        // Said here and nowhere else: a task that is dropped or panics has not seen its run end.
        over.cancel();
        end
    }

    async fn begin(&mut self, begin: Begin, seat: Slot) -> Over {
        match begin {
            Begin::Hinted(look) => {
                self.hinted = look;
                self.turn = tokio::select! {
                    turn = Arc::clone(&self.context.claiming).acquire_owned() => turn.ok(),
                    () = self.context.draining.cancelled() => return Over::Done,
                };
                self.travel(ClaimPhase::Hinted, seat, None).await
            }
            Begin::Found(entry) => self.found(entry, seat).await,
        }
    }

    /// From a phase to the launch, and through the execution. A report is there when an execution was lost.
    async fn travel(&mut self, mut phase: ClaimPhase, mut seat: Slot, mut report: Option<RunReport>) -> Over {
        let mut effect = Effect::Look;
        loop {
            let answer = match effect {
                Effect::Look => self.look(phase).await.map(Input::Seen),
                Effect::Claim => self.claim(report.is_some()).await,
                Effect::Launch => match self.execute(report.take(), seat).await {
                    None => return Over::Done,
                    Some((lost, back, how)) => {
                        seat = back;
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

    async fn drop_it(&mut self, report: Option<RunReport>) -> Over {
        let written = self.entry.take().or_else(|| report.as_ref().map(|report| report.entry().clone()));
        if let Some(entry) = written {
            tracing::warn!(target: "job_runner_worker.enqueuer", "run {} is not ours any more", self.run);
            self.context.reporter.forget(&entry).await;
        }
        Over::Done
    }

    /// It was stopped before its script was started.
    async fn cancelled(&mut self, phase: ClaimPhase, report: Option<RunReport>, cause: Cause) -> Over {
        match (phase, report) {
            (ClaimPhase::Claimed, None) => {
                if let Some(entry) = self.entry.take() {
                    let report = self.context.reporter.serve(OutboxEntry { claim: self.claimed, ..entry }, false);
                    report.ended(StoredEnd::now(Outcome::Cancelled(cause))).await;
                }
            }
            (_, Some(report)) => report.ended(StoredEnd::now(Outcome::Cancelled(cause))).await,
            // Never claimed, or not known to be: the next start finds out.
            (_, None) => {}
        }
        Over::Done
    }

    fn check_stopped(&self, phase: ClaimPhase) -> Result<(), Halt> {
        match *self.stopped.borrow() {
            Some(cause) if phase != ClaimPhase::Claiming => Err(Halt::Stopped(cause)),
            _ => Ok(()),
        }
    }

    /// Waits, no longer than until it is stopped.
    async fn rest(&mut self, pause: Duration) {
        self.turn = None;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop_asked(&mut self.stopped), if self.stopped.borrow().is_none() => {}
        }
    }
}

/// Waits until somebody wants it stopped.
async fn stop_asked(stopped: &mut watch::Receiver<Option<Cause>>) -> Cause {
    match stopped.wait_for(Option::is_some).await.map(|cause| *cause) {
        Ok(Some(cause)) => cause,
        _ => std::future::pending().await,
    }
}

/// 122 bits that nobody can guess.
fn token() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid")
        .map(|uuid| uuid.trim().replace('-', ""))
        .unwrap_or_else(|_| format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)))
}
