//! Courier of one run: reports its start, its log and its result to the server, in this order.
//!
//! A courier makes one call at a time, so two writes of one run are never under way together. A failure of its run or
//! of the connection delays no other run. After the accepted result no call is made any more. Where the server takes
//! tells, one call says all that is known by then.
//!
//! The state of the delivery is a [`Delivery`]; the courier performs the calls that follow from it and feeds their
//! outcomes back into it.

mod calls;
mod log_transfer;
mod retry;
mod tell;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::Instant;

use super::courier_request::{CourierRequest, DeliveryEvent};
use super::delivery::{Delivery, DeliveryEnd, DeliveryInput, DeliveryPhase, ServerView};
use super::outbox_entry::{DeadLetter, OutboxEntry, Start, StoredEnd};
use super::plan::{self, CallConditions, NextCall};
use super::reporter_shared::ReporterShared;
use crate::run::{Attempt, Event, RunId};
use crate::upstream::Backoff;
use crate::upstream::job_runner::AttemptClaim;
use crate::wire::time;
use log_transfer::AppendedLog;

#[cfg(test)]
mod tests;

/// Pause of a courier whose log cannot be read for want of file descriptors or memory.
const SHORTAGE: Duration = Duration::from_secs(2);
/// Least that is left of a pause by a server that is back: it may take the reports of other runs, and not of this one.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Courier {
    shared: Arc<ReporterShared>,
    run: RunId,
    attempt: Attempt,
    claim: Option<Attempt>,
    run_log: Option<String>,
    start: Option<Start>,
    end: Option<StoredEnd>,
    delivery: Delivery,
    events: mpsc::Receiver<DeliveryEvent>,
    requests: mpsc::Sender<CourierRequest>,
    backoff: Backoff,
    /// Tells when the server takes reports again.
    recoveries: watch::Receiver<()>,
    /// Reason for which the server last rejected the log.
    log_refusal: Option<String>,
    /// Whether part of the output that the run reported was not kept.
    is_short: bool,
    /// Extent of the log at the server, while the log was only appended to; `None` once that is not certain.
    appended: Option<AppendedLog>,
    /// Instant until which the start waits for what can be told with it.
    start_waits_until: Option<Instant>,
    /// Most bytes of log that the server takes, as far as its answers showed; `None` before it called a log too large.
    log_cap: Option<usize>,
    /// Turn among the runs that are delivered at once; `None` where none is needed, or after something went wrong.
    turn: Option<OwnedSemaphorePermit>,
}

/// Outcome of a call that was answered.
enum Outcome {
    /// The delivery goes on.
    Continues,
    /// The output cannot be read at the moment.
    OutputUnreadable,
    /// The server refuses reports of the attempt, except that it keeps the result as late.
    AttemptRefused(AttemptRefusal),
    /// The server wants no further call about the run.
    Settled(Settlement),
}

/// Reason for which the server takes no report of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AttemptRefusal {
    /// The run belongs to another worker.
    AnotherWorker,
    /// A later attempt of the run has begun on this worker.
    LaterAttempt,
    /// The run is over.
    Over,
    /// The server answered 409, which stands for several reasons.
    Conflict,
}

impl AttemptRefusal {
    fn text(self) -> &'static str {
        match self {
            Self::AnotherWorker => "the server says that the run belongs to another worker",
            Self::LaterAttempt => "the server says that the run is in a later attempt",
            Self::Over => "the server says that the run is over",
            Self::Conflict => "the server says that the run is over, in a later attempt or not claimed (409)",
        }
    }
}

/// Reason for which no further call is made about a run.
enum Settlement {
    /// The result is with the server.
    Delivered,
    /// The run is back with the server.
    GivenBack,
    /// The server expects no result of the run: it has ended the run or does not know it any more; holds the reason.
    RunUnknown(&'static str),
    /// The attempt is not this worker's to report any more.
    NotOurs(AttemptRefusal),
}

impl Courier {
    pub(super) fn new(
        shared: Arc<ReporterShared>,
        entry: &OutboxEntry,
        view: ServerView,
        events: mpsc::Receiver<DeliveryEvent>,
        requests: mpsc::Sender<CourierRequest>,
    ) -> Self {
        let mut delivery = Delivery::new(view);
        if entry.start.is_some() {
            delivery = delivery.step(DeliveryInput::Started);
        }
        if let Some(end) = &entry.end {
            delivery = delivery.step(DeliveryInput::Ended(kind_of(end)));
        }
        Self {
            recoveries: shared.client.health().recoveries(),
            shared,
            run: entry.run,
            attempt: entry.attempt,
            claim: entry.claim,
            run_log: entry.run_log.clone(),
            start: entry.start.clone(),
            end: entry.end.clone(),
            delivery,
            events,
            requests,
            backoff: Backoff::default(),
            log_refusal: None,
            is_short: false,
            // Only of a log that does not exist yet is the length at the server certain.
            appended: entry.run_log.is_none().then_some(AppendedLog { output: 0, text: 0, ends_line: true }),
            start_waits_until: None,
            log_cap: None,
            turn: None,
        }
    }

    /// Holds a turn among the runs that are delivered at once, until something goes wrong.
    pub(super) fn holding(self, turn: Option<OwnedSemaphorePermit>) -> Self {
        Self { turn, ..self }
    }

    /// Delivers until everything is reported, or until the run's side is dropped before its end.
    pub(super) async fn deliver(mut self) {
        loop {
            while let Ok(event) = self.events.try_recv() {
                self.apply(event);
            }
            let outcome = match self.delivery.next(&self.conditions()) {
                NextCall::Forget => return self.forget().await,
                _ if self.shared.leave.is_cancelled() => return,
                NextCall::Wait(until) => {
                    if !self.wait(until).await {
                        return;
                    }
                    Outcome::Continues
                }
                NextCall::Watch => {
                    self.step(DeliveryInput::WatchRequested);
                    let sent = self.delivery.extent().sent.unwrap_or(0);
                    let _ = self.requests.try_send(CourierRequest::Watch(sent));
                    Outcome::Continues
                }
                call => {
                    // What comes during the call counts: its failure may be older.
                    self.recoveries.mark_unchanged();
                    self.call(call).await
                }
            };
            match outcome {
                Outcome::Continues => {}
                Outcome::OutputUnreadable => self.pause(SHORTAGE).await,
                Outcome::AttemptRefused(refusal) => self.refuse_attempt(refusal),
                Outcome::Settled(settlement) => self.settle(settlement).await,
            }
        }
    }

    fn conditions(&self) -> CallConditions {
        CallConditions {
            now: Instant::now(),
            sends_live_logs: !self.shared.settings.borrow().log_update_interval.is_zero(),
            is_long_silent: self.shared.client.health().since_ping().is_none_or(|since| since > plan::TRUSTED),
            start_waits_until: self.start_waits_until.filter(|_| self.shared.client.takes_tells()),
        }
    }

    fn step(&mut self, input: DeliveryInput) {
        self.delivery = self.delivery.step(input);
    }

    fn apply(&mut self, event: DeliveryEvent) {
        match event {
            DeliveryEvent::Claimed(claim) => self.claim = claim,
            DeliveryEvent::Started(start) => {
                self.step(DeliveryInput::Started);
                self.start = Some(start);
                self.start_waits_until = Some(Instant::now() + plan::START_WAIT);
            }
            DeliveryEvent::Output(total) => self.step(DeliveryInput::Output(total)),
            DeliveryEvent::Ended(end) => {
                self.step(DeliveryInput::Ended(kind_of(&end)));
                self.end = Some(end);
            }
            DeliveryEvent::Relaunched(entry) => {
                // A lost execution may have appended to the log, so its length is not certain any more.
                (self.attempt, self.claim, self.appended) = (entry.attempt, entry.claim, None);
                self.start = None;
                self.step(DeliveryInput::Relaunched);
            }
        }
    }

    /// Waits for an event of the run, or for an instant. Returns false where no event can come any more.
    async fn wait(&mut self, until: Option<Instant>) -> bool {
        let timer = async {
            match until {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = self.events.recv() => match event {
                Some(event) => self.apply(event),
                None => return false,
            },
            () = timer => {}
            () = self.shared.leave.cancelled() => {}
        }
        true
    }

    /// Waits, and takes in events meanwhile. A retry that the operator asks for ends the wait, and so does a server that
    /// is back: what waits for the result should not wait longer than the server was away.
    async fn pause(&mut self, pause: Duration) {
        // A courier that has to wait makes room for another run.
        self.turn = None;
        let mut retries = self.shared.turns.retries.subscribe();
        let (begun, over) = (Instant::now(), tokio::time::sleep(pause));
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return,
                Some(event) = self.events.recv() => self.apply(event),
                Ok(()) = retries.changed() => return,
                Ok(()) = self.recoveries.changed() => {
                    let least = pause.min(LEAST_PAUSE);
                    over.as_mut().reset((begun + least).max(Instant::now()));
                }
                () = self.shared.leave.cancelled() => return,
            }
        }
    }

    /// Goes on to the result, of an attempt whose other reports the server refuses.
    fn refuse_attempt(&mut self, refusal: AttemptRefusal) {
        let is_over = self.delivery.is_over();
        // Of a run that is over at both sides the server may have everything.
        let may_have_log = self.delivery.has_log() || (is_over && refusal == AttemptRefusal::Over);
        if !may_have_log {
            self.log_refusal = Some(refusal.text().to_owned());
        }
        if !is_over {
            tracing::warn!(
                target: "job_runner_worker.models",
                run = %self.run,
                attempt = self.attempt_number(),
                execution = self.attempt.0,
                reason = refusal.text(),
                "server refuses reports of the attempt; only its result is reported"
            );
            // A script whose run the server has ended by itself is left to its own end.
            if refusal != AttemptRefusal::Over {
                let _ = self.requests.try_send(CourierRequest::Stop);
            }
        }
        self.step(DeliveryInput::AttemptRefused);
    }

    /// Ends the delivery: what is stored of the run is removed once the run is over.
    async fn settle(&mut self, settlement: Settlement) {
        let is_given_back = matches!(self.delivery.phase, DeliveryPhase::GivenBack { .. });
        match settlement {
            // The run belongs to another worker by now, or to none: that is the purpose of giving it back.
            Settlement::GivenBack | Settlement::RunUnknown(_) | Settlement::NotOurs(_) if is_given_back => {
                tracing::info!(
                    target: "job_runner_worker.models",
                    run = %self.run,
                    attempt = self.attempt_number(),
                    execution = self.attempt.0,
                    "run was given back"
                );
            }
            Settlement::GivenBack => {}
            Settlement::Delivered => {
                self.settle_letters().await;
                self.shared.events.tell(Event::RunReturned(self.run));
            }
            Settlement::RunUnknown(reason) => self.give_up("result", reason.to_owned()).await,
            Settlement::NotOurs(refusal) => {
                self.give_up_log().await;
                self.give_up("result", refusal.text().to_owned()).await;
                let _ = self.requests.try_send(CourierRequest::Stop);
            }
        }
        self.step(DeliveryInput::Settled);
    }

    /// Removes files and row of the run.
    async fn forget(self) {
        // The files go first: a full disk may need their space to remove the row.
        self.shared.logs.forget(self.run, self.attempt);
        crash_point!(RecordRemoved);
        self.shared.outbox.forget_run(self.run).await;
        crash_point!(RowRemoved);
    }

    /// Returns the number that log lines name `attempt`: the attempt as the server counts it.
    fn attempt_number(&self) -> Option<u32> {
        self.claim.map(|claim| claim.0)
    }

    fn claimed(&self) -> AttemptClaim {
        AttemptClaim { run: self.run, attempt: self.claim }
    }

    /// Settles the dead letters of a run whose result the server has: the result's is removed, and a log that was left
    /// out becomes one.
    async fn settle_letters(&mut self) {
        self.shared.remove_letters(self.run).await;
        self.give_up_log().await;
    }

    /// Gives up a log that the server refused.
    async fn give_up_log(&mut self) {
        if let Some(reason) = self.log_refusal.take().filter(|_| !self.delivery.has_log()) {
            self.give_up("log", reason).await;
        }
    }

    /// Logs that a part of the report is given up, and writes a dead letter about it.
    async fn give_up(&self, part: &'static str, reason: String) {
        tracing::error!(
            target: "job_runner_worker.models",
            run = %self.run,
            attempt = self.attempt_number(),
            execution = self.attempt.0,
            part,
            reason,
            "report was given up"
        );
        self.write_letter(part, reason).await;
    }

    async fn write_letter(&self, part: &'static str, reason: String) {
        let at = time::sent(chrono::Utc::now());
        self.shared.write_letter(DeadLetter { at, run: self.run, what: part.to_owned(), reason }).await;
    }
}

fn kind_of(end: &StoredEnd) -> DeliveryEnd {
    if end.outcome.is_given_back() { DeliveryEnd::GivenBack } else { DeliveryEnd::WithResult }
}
