//! Failures of a courier's calls: which are made again, when, and what is left out meanwhile.

use std::time::Duration;

use tokio::time::Instant;

use super::super::super::delivery::{DeliveryInput, ServerView};
use super::super::super::plan::{self, NextCall, REJECTIONS};
use super::{AttemptRefusal, JobRunnerProtocol, Outcome, Pause, Settlement};
use crate::run::chain_of;
use crate::upstream::CallFailure;

/// Pause of a courier while the server refuses the API key or the secret.
const PARKED: Duration = Duration::from_secs(30);

impl JobRunnerProtocol {
    pub(super) async fn failed(&mut self, call: NextCall, failure: CallFailure) -> Outcome {
        let is_log = matches!(call, NextCall::SendLive | NextCall::SendLog);
        match &failure {
            CallFailure::TooLarge if is_log => return Outcome::Continues,
            CallFailure::Unauthorised(_) => return self.unauthorised(call).await,
            CallFailure::Conflict => return self.refused(call, AttemptRefusal::Conflict),
            CallFailure::NotFound if is_log && self.delivery.view != ServerView::Doubtful => {
                // Either the log was deleted, or the whole run: the next read tells.
                self.step(DeliveryInput::CallInDoubt);
                self.run_log = None;
                return self.rejected(call, &failure).await;
            }
            // A proxy answers 404 too while the API behind it is away, so the answer counts only if the API accepts the
            // credentials.
            CallFailure::NotFound if self.client.credentials().await.is_ok() => {
                return Outcome::Settled(Settlement::RunUnknown("the server does not know the run any more"));
            }
            CallFailure::TooLarge if call == NextCall::Look => {}
            CallFailure::Rejected(_) | CallFailure::TooLarge | CallFailure::Elsewhere(_) => {
                return self.rejected(call, &failure).await;
            }
            _ if failure.is_ambiguous() && call != NextCall::Look => self.step(DeliveryInput::CallInDoubt),
            _ => {}
        }
        if call == NextCall::Return {
            // By the next try the server may have changed the run, so a worker that was silent for long reads it again.
            self.step(DeliveryInput::ResultFailed);
        }
        let pause = self.backoff.next(failure.retry_after());
        tracing::warn!(
            target: "job_runner_worker.models",
            run = %self.facts.run,
            attempt = self.facts.attempt_number(),
            execution = self.facts.attempt.0,
            tries = self.backoff.tries(),
            wait_s = rounded_seconds(pause),
            error = %chain_of(&failure),
            "report call failed; retrying"
        );
        Outcome::Retries(Pause::For(pause))
    }

    /// Handles a refusal of the attempt. A server that compares attempts is still told the result, which it keeps as
    /// late; at the original's it might overwrite what another worker does.
    fn refused(&self, call: NextCall, refusal: AttemptRefusal) -> Outcome {
        if plan::reports_after_refusal(call, self.facts.claim.is_some()) {
            Outcome::AttemptRefused(refusal)
        } else {
            Outcome::Settled(Settlement::NotOurs(refusal))
        }
    }

    /// Handles a 401 or 403: it is about this run, unless the server refuses the worker's credentials altogether.
    async fn unauthorised(&mut self, call: NextCall) -> Outcome {
        match self.client.credentials().await {
            Ok(()) => self.refused(call, AttemptRefusal::AnotherWorker),
            Err(failure @ CallFailure::Unauthorised(_)) => {
                tracing::error!(
                    target: "job_runner_worker.models",
                    run = %self.facts.run,
                    attempt = self.facts.attempt_number(),
                    execution = self.facts.attempt.0,
                    worker = %self.client.api_key(),
                    wait_s = PARKED.as_secs(),
                    error = %chain_of(&failure),
                    "server refuses api_key and secret; retrying"
                );
                Outcome::Retries(Pause::For(PARKED))
            }
            Err(failure) => Outcome::Retries(Pause::For(self.backoff.next(failure.retry_after()))),
        }
    }

    /// Handles a rejection by a server that is well: the call is made again, for as long as it takes, and a part that
    /// may be left out does not hold up the rest.
    async fn rejected(&mut self, call: NextCall, failure: &CallFailure) -> Outcome {
        if self.delivery.times_rejected(call) == 0 {
            // The first rejection of another part of the report, which may fare better.
            self.backoff.reset();
        }
        let pause = self.backoff.next(None);
        let waits = self.delivery.reject(call, Instant::now() + pause);
        let is_told_now = self.delivery.times_rejected(call) == REJECTIONS;
        match call {
            NextCall::TellStart if is_told_now => self.log_rejection("start", failure),
            NextCall::SendLog => {
                self.log_refusal = Some(failure.to_string());
                if is_told_now && self.delivery.times_rejected(NextCall::Return) == 0 {
                    self.log_rejection("log", failure);
                }
            }
            NextCall::Return | NextCall::GiveBack if is_told_now => {
                self.log_rejection("result", failure);
                self.facts.write_letter("result", failure.to_string()).await;
            }
            NextCall::SendLive if is_told_now => self.log_rejection("live log", failure),
            _ => tracing::debug!(
                target: "job_runner_worker.models",
                run = %self.facts.run,
                attempt = self.facts.attempt_number(),
                execution = self.facts.attempt.0,
                call = call.word(),
                error = %chain_of(failure),
                "report call was rejected; retrying"
            ),
        }
        if waits { Outcome::Retries(Pause::UntilTurn(pause)) } else { Outcome::Continues }
    }

    fn log_rejection(&self, part: &'static str, failure: &CallFailure) {
        tracing::error!(
            target: "job_runner_worker.models",
            run = %self.facts.run,
            attempt = self.facts.attempt_number(),
            execution = self.facts.attempt.0,
            part,
            rejections = REJECTIONS,
            error = %chain_of(failure),
            "report was rejected; retrying"
        );
    }
}

/// Returns a duration in seconds, to a tenth.
fn rounded_seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}
