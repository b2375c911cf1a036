//! Protocol of a Job-Runner server: the start, the log and the result of a run are each told in a call, or all that is
//! known by then in one, where the server takes tells.
//!
//! The state of the delivery is a [`Delivery`]; the protocol performs the calls that follow from it and feeds their
//! outcomes back into it. It never assumes what the server knows: after any doubt it reads the run first.

mod calls;
mod log_transfer;
mod retry;
mod tell;

use std::time::Duration;

use tokio::time::Instant;

use super::super::EventPublisher;
use super::super::courier_request::{CourierRequest, DeliveryEvent};
use super::super::delivery::{Delivery, DeliveryEnd, DeliveryInput, DeliveryPhase, ServerView};
use super::super::outbox_entry::{OutboxEntry, StoredEnd};
use super::super::plan::{self, CallConditions, NextCall};
use super::{Next, Pause, Protocol, RunFacts};
use crate::run::Event;
use crate::upstream::Backoff;
use crate::upstream::job_runner::{AttemptClaim, RestClient};
use log_transfer::AppendedLog;

/// Pause where the log cannot be read for want of file descriptors or memory.
const SHORTAGE: Duration = Duration::from_secs(2);

/// Delivery of one run to a Job-Runner server.
pub(in crate::report) struct JobRunnerProtocol {
    facts: RunFacts,
    client: RestClient,
    event_publisher: EventPublisher,
    run_log: Option<String>,
    delivery: Delivery,
    backoff: Backoff,
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
}

/// Outcome of a call that was answered.
enum Outcome {
    /// The delivery goes on.
    Continues,
    /// The output cannot be read at the moment.
    OutputUnreadable,
    /// The call is made again after a pause.
    Retries(Pause),
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

impl JobRunnerProtocol {
    /// Begins the delivery of a run whose log at the server has the path `entry.run_log`.
    pub(in crate::report) fn new(
        facts: RunFacts,
        client: RestClient,
        event_publisher: EventPublisher,
        entry: &OutboxEntry,
        view: ServerView,
    ) -> Self {
        let mut delivery = Delivery::new(view);
        if entry.start.is_some() {
            delivery = delivery.step(DeliveryInput::Started);
        }
        if let Some(end) = &entry.end {
            delivery = delivery.step(DeliveryInput::Ended(kind_of(end)));
        }
        Self {
            facts,
            client,
            event_publisher,
            run_log: entry.run_log.clone(),
            delivery,
            backoff: Backoff::default(),
            log_refusal: None,
            is_short: false,
            // Only of a log that does not exist yet is the length at the server certain.
            appended: entry.run_log.is_none().then_some(AppendedLog { output: 0, text: 0, ends_line: true }),
            start_waits_until: None,
            log_cap: None,
        }
    }

    fn conditions(&self) -> CallConditions {
        CallConditions {
            now: Instant::now(),
            sends_live_logs: !self.facts.shared.settings.borrow().log_update_interval.is_zero(),
            is_long_silent: self.client.health().since_ping().is_none_or(|since| since > plan::TRUSTED),
            start_waits_until: self.start_waits_until.filter(|_| self.client.takes_tells()),
        }
    }

    fn step(&mut self, input: DeliveryInput) {
        self.delivery = self.delivery.step(input);
    }

    fn claimed(&self) -> AttemptClaim {
        AttemptClaim { run: self.facts.run, attempt: self.facts.claim }
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
                run = %self.facts.run,
                attempt = self.facts.attempt_number(),
                execution = self.facts.attempt.0,
                reason = refusal.text(),
                "server refuses reports of the attempt; only its result is reported"
            );
            // A script whose run the server has ended by itself is left to its own end.
            if refusal != AttemptRefusal::Over {
                self.facts.request(CourierRequest::Stop);
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
                    run = %self.facts.run,
                    attempt = self.facts.attempt_number(),
                    execution = self.facts.attempt.0,
                    "run was given back"
                );
            }
            Settlement::GivenBack => {}
            Settlement::Delivered => {
                self.settle_letters().await;
                self.event_publisher.tell(Event::RunReturned(self.facts.run));
            }
            Settlement::RunUnknown(reason) => self.facts.give_up("result", reason.to_owned()).await,
            Settlement::NotOurs(refusal) => {
                self.give_up_log().await;
                self.facts.give_up("result", refusal.text().to_owned()).await;
                self.facts.request(CourierRequest::Stop);
            }
        }
        self.step(DeliveryInput::Settled);
    }

    /// Settles the dead letters of a run whose result the server has: the result's is removed, and a log that was left
    /// out becomes one.
    async fn settle_letters(&mut self) {
        self.facts.shared.remove_letters(self.facts.run).await;
        self.give_up_log().await;
    }

    /// Gives up a log that the server refused.
    async fn give_up_log(&mut self) {
        if let Some(reason) = self.log_refusal.take().filter(|_| !self.delivery.has_log()) {
            self.facts.give_up("log", reason).await;
        }
    }
}

impl Protocol for JobRunnerProtocol {
    type Call = NextCall;

    fn facts(&self) -> &RunFacts {
        &self.facts
    }

    fn learn(&mut self, event: DeliveryEvent) {
        match &event {
            DeliveryEvent::Claimed(_) => {}
            DeliveryEvent::Started(_) => {
                self.step(DeliveryInput::Started);
                self.start_waits_until = Some(Instant::now() + plan::START_WAIT);
            }
            DeliveryEvent::Output(total) => self.step(DeliveryInput::Output(*total)),
            DeliveryEvent::Ended(end) => self.step(DeliveryInput::Ended(kind_of(end))),
            DeliveryEvent::Relaunched(_) => {
                // A lost execution may have appended to the log, so its length is not certain any more.
                self.appended = None;
                self.step(DeliveryInput::Relaunched);
            }
        }
        self.facts.note(event);
    }

    fn next(&self) -> Next<NextCall> {
        match self.delivery.next(&self.conditions()) {
            NextCall::Forget => Next::Forget,
            NextCall::Wait(until) => Next::Wait(until),
            call => Next::Call(call),
        }
    }

    async fn perform(&mut self, call: NextCall) -> Option<Pause> {
        let outcome = if call == NextCall::Watch {
            self.step(DeliveryInput::WatchRequested);
            self.facts.request(CourierRequest::Watch(self.delivery.extent().sent.unwrap_or(0)));
            Outcome::Continues
        } else {
            self.call(call).await
        };
        match outcome {
            Outcome::Continues => {}
            Outcome::OutputUnreadable => return Some(Pause::For(SHORTAGE)),
            Outcome::Retries(pause) => return Some(pause),
            Outcome::AttemptRefused(refusal) => self.refuse_attempt(refusal),
            Outcome::Settled(settlement) => self.settle(settlement).await,
        }
        None
    }
}

fn kind_of(end: &StoredEnd) -> DeliveryEnd {
    if end.outcome.is_given_back() { DeliveryEnd::GivenBack } else { DeliveryEnd::WithResult }
}
