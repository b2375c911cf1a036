//! Calls of a courier: reads the run, and reports its start, its result, or that it is given back.

use std::sync::Arc;

use super::super::super::delivery::{DeliveryInput, DeliveryPhase, StartReport};
use super::super::super::outbox_entry::StoredEnd;
use super::super::super::plan::{NextCall, Parts};
use super::{AttemptRefusal, JobRunnerProtocol, Outcome, Settlement};
use crate::run::claim::RunSight;
use crate::run::{Attempt, Event};
use crate::upstream::CallFailure;
use crate::upstream::job_runner::ToldResult;

impl JobRunnerProtocol {
    pub(super) async fn call(&mut self, call: NextCall) -> Outcome {
        let shared = Arc::clone(&self.facts.shared);
        let Ok(turn) = shared.turns.calling.acquire().await else { return Outcome::Continues };
        let (call, answer) = match self.tell_to_make() {
            Some(tell) => self.tell(call, tell).await,
            None => (call, self.perform(call).await),
        };
        drop(turn);
        match answer {
            Ok(outcome) => {
                // A read between two tries does not make a new write of the one that keeps failing.
                if call != NextCall::Look {
                    self.backoff.reset();
                }
                if matches!(outcome, Outcome::OutputUnreadable) {
                    self.step(DeliveryInput::OutputUnreadable);
                }
                outcome
            }
            Err(failure) => self.failed(call, failure).await,
        }
    }

    pub(super) async fn perform(&mut self, call: NextCall) -> Result<Outcome, CallFailure> {
        match call {
            NextCall::Look => self.read_run().await,
            NextCall::TellStart => self.tell_start().await,
            NextCall::SendLive => self.send_live().await,
            NextCall::SendLog => self.send_log().await,
            NextCall::Return => self.tell_result().await,
            NextCall::GiveBack => self.give_back().await,
            NextCall::Watch | NextCall::Wait(_) | NextCall::Forget => Ok(Outcome::Continues),
        }
    }

    async fn read_run(&mut self) -> Result<Outcome, CallFailure> {
        let view = self.client.look(self.facts.run).await?;
        // A start at the server may be that of an execution that was lost; only the first execution's is certainly this
        // one.
        let has_start = self.facts.attempt == Attempt::FIRST && view.started;
        self.step(DeliveryInput::Read { has_start });
        self.run_log = view.run_log;
        let is_given_back = matches!(self.delivery.phase, DeliveryPhase::GivenBack { .. });
        // Only a server that counts attempts compares them.
        let is_compared = self.facts.claim.is_some() && view.attempt.is_some() && !is_given_back;
        let refused = |refusal| {
            if is_compared { Outcome::AttemptRefused(refusal) } else { Outcome::Settled(Settlement::NotOurs(refusal)) }
        };
        let settlement = match view.seen {
            seen if is_given_back && seen != RunSight::Ours => Settlement::GivenBack,
            // The result there may be the server's own, of another attempt, or this one, which is accepted once more.
            RunSight::Returned if is_compared => return Ok(refused(AttemptRefusal::Over)),
            RunSight::Returned if self.delivery.is_over() => Settlement::Delivered,
            RunSight::Returned => Settlement::RunUnknown("the server ended the run before its script did"),
            RunSight::Theirs | RunSight::NotForUs => return Ok(refused(AttemptRefusal::AnotherWorker)),
            RunSight::Gone => Settlement::RunUnknown("the server does not know the run any more"),
            RunSight::Ours if self.facts.claim.is_some_and(|mine| view.attempt.is_some_and(|now| now != mine)) => {
                return Ok(refused(AttemptRefusal::LaterAttempt));
            }
            RunSight::Ours => {
                self.facts.claim = view.attempt;
                return Ok(Outcome::Continues);
            }
            RunSight::Free => return Ok(Outcome::Continues),
        };
        Ok(Outcome::Settled(settlement))
    }

    async fn tell_start(&mut self) -> Result<Outcome, CallFailure> {
        if let Some(start) = &self.facts.start {
            let pid = (self.delivery.parts_of_start() == Parts::All).then_some(start.pid);
            self.client.tell_start(self.claimed(), &start.at, pid).await?;
            crash_point!(StartSent);
            self.event_publisher.tell(Event::RunStarted(self.facts.run));
        }
        self.step(DeliveryInput::StartAccepted);
        Ok(Outcome::Continues)
    }

    async fn tell_result(&mut self) -> Result<Outcome, CallFailure> {
        let Some(end) = &self.facts.end else { return Ok(Outcome::Continues) };
        let at = self.time_of_return(end);
        let parts = self.delivery.parts_of_result();
        // A late result starts nothing at the server; one that is repeated must say the same as before.
        let is_late = matches!(self.delivery.phase, DeliveryPhase::LateResult { .. });
        let has_start = is_late || self.delivery.start() == Some(StartReport::Accepted);
        // Without a start the server would take the run for one that still waits.
        let start = match &self.facts.start {
            None => Some(end.at.as_str()),
            Some(start) if !has_start && parts != Parts::ResultAlone => Some(start.at.as_str()),
            Some(_) => None,
        };
        let outcome = if parts == Parts::All {
            ToldResult::Exit(&end.outcome)
        } else {
            ToldResult::Success(end.outcome.success())
        };
        crash_point!(ReturnNext);
        self.client.tell_result(self.claimed(), at, outcome, start).await?;
        crash_point!(ReturnSent);
        Ok(Outcome::Settled(Settlement::Delivered))
    }

    /// Returns the time of the return. The wall clock may have been set back meanwhile; a run must not return before it
    /// starts.
    pub(super) fn time_of_return<'a>(&'a self, end: &'a StoredEnd) -> &'a str {
        self.facts.start.as_ref().map_or(&end.at, |start| (&start.at).max(&end.at))
    }

    async fn give_back(&mut self) -> Result<Outcome, CallFailure> {
        crash_point!(ReturnNext);
        self.client.give_back(self.claimed()).await?;
        crash_point!(ReturnSent);
        Ok(Outcome::Settled(Settlement::GivenBack))
    }
}
