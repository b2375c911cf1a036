//! Questions that the task of a run asks the server before the launch: the run's state, whether the claim holds, and
//! the script to execute.

mod flamenco;

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{Halt, LookupFailure, RunTask, stop_asked};
use crate::execution::random_token;
use crate::report::OutboxEntry;
use crate::run::claim::{ClaimPhase, Input, RunSight};
use crate::run::script::Script;
use crate::run::worker_lifecycle::Claims;
use crate::run::{Attempt, Outcome, chain_of};
use crate::upstream::job_runner::{JobView, RestClient};
use crate::upstream::{Backoff, CallFailure, Upstream};

/// Age of a read from which an accepted claim must be confirmed by another read: another worker may have claimed the run in between.
const FRESH: Duration = Duration::from_secs(1);
/// Pause while the server does not accept the worker's key.
const KEY_REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// Answers without a script after which the run fails.
const MAX_ANSWERS: u32 = 12;

impl RunTask {
    /// Reads the run. While the run is only hinted a failure gives it up for now; later the read is repeated until it
    /// succeeds.
    pub(super) async fn read_run(&mut self, phase: ClaimPhase) -> Result<RunSight, Halt> {
        let mut backoff = Backoff::default();
        loop {
            self.check_stopped(phase)?;
            let failure = match self.try_read_run(phase).await {
                Ok(seen) => {
                    if phase == ClaimPhase::Hinted {
                        self.log_wrong_hint();
                    }
                    return Ok(seen);
                }
                Err(failure) => failure,
            };
            let pause = match failure {
                // A proxy answers the same way while the API behind it is away.
                CallFailure::NotFound | CallFailure::Unauthorised(_) => match self.credentials().await {
                    // With valid credentials the answer is the server's own: there is no such run, or it belongs to
                    // others.
                    Ok(()) if failure == CallFailure::NotFound => return Ok(RunSight::Gone),
                    Ok(()) => return Ok(RunSight::Theirs),
                    Err(pause) if phase == ClaimPhase::Hinted => {
                        return Err(Halt::Retry(LookupFailure {
                            error: failure.to_string(),
                            retry_after: Some(pause),
                        }));
                    }
                    Err(pause) => pause,
                },
                failure if phase == ClaimPhase::Hinted => {
                    let retry_after = failure.retry_after();
                    return Err(Halt::Retry(LookupFailure { error: chain_of(&failure), retry_after }));
                }
                failure => backoff.next(failure.retry_after()),
            };
            self.pause(pause).await;
        }
    }

    pub(super) async fn try_read_run(&mut self, phase: ClaimPhase) -> Result<RunSight, CallFailure> {
        let client = match self.context.upstream.clone() {
            Upstream::JobRunner(client) => client,
            Upstream::Flamenco(client) => return self.ask_manager(&client).await,
        };
        self.read_at = Instant::now();
        let announced = match phase {
            ClaimPhase::Hinted => client.announced(self.run).await?,
            ClaimPhase::Claiming | ClaimPhase::Claimed | ClaimPhase::Dropped => None,
        };
        let view = match announced {
            Some((view, job)) => {
                self.job = job;
                view
            }
            None => client.look(self.run).await?,
        };
        let seen = view.seen;
        if seen == RunSight::Ours {
            self.claimed = view.attempt;
        }
        self.view = Some(view);
        tracing::debug!(target: "job_runner_worker.enqueuer", run = %self.run, seen = seen.word(), "run was read");
        Ok(seen)
    }

    /// Logs why a run that was announced to this worker is not to be started here.
    pub(super) fn log_wrong_hint(&self) {
        let Some(view) = self.view.as_ref().filter(|view| view.seen == RunSight::NotForUs) else { return };
        let reason = match (view.pinned_elsewhere, &view.scheduled_at) {
            (true, _) => "it is another worker's".to_owned(),
            (false, at) => format!("it is due at {}", at.as_deref().unwrap_or("another time")),
        };
        if let Some(suppressed) = self.context.unfollowed_line() {
            tracing::warn!(
                target: "job_runner_worker.enqueuer",
                run = %self.run,
                reason,
                suppressed,
                "announced run is left alone"
            );
        }
    }

    /// Claims the run, after the intention to do so is on disk. With `reported`, an earlier execution was lost and the
    /// entry is on disk already.
    pub(super) async fn claim(&mut self, reported: bool) -> Result<Input, Halt> {
        self.check_stopped(ClaimPhase::Hinted)?;
        if self.entry.is_none() && !reported {
            // A drain, or the command to sleep, may have come during the read.
            if *self.context.claims.borrow() != Claims::Allowed {
                return Err(Halt::LeftToOthers);
            }
            let entry = OutboxEntry {
                run: self.run,
                attempt: Attempt::FIRST,
                claim: None,
                losses: 0,
                token: random_token(),
                run_log: self.view.as_ref().and_then(|view| view.run_log.clone()),
                start: None,
                end: None,
            };
            self.request_job();
            if let Err(e) = self.context.reporter.outbox().try_run(&entry).await {
                tracing::error!(
                    target: "job_runner_worker.enqueuer",
                    run = %self.run,
                    error = %chain_of(&e),
                    "run is not claimed, because the outbox cannot be written"
                );
                return Err(Halt::Retry(LookupFailure { error: chain_of(&e), retry_after: None }));
            }
            self.entry = Some(entry);
        }
        crash_point!(ClaimNext);
        // A run of any other service was given to this worker, and is never free.
        let Some(client) = self.context.upstream.job_runner().cloned() else { return Ok(Input::Refused) };
        match client.claim(self.run, self.claim_begun).await {
            Ok(attempt) => {
                self.claimed = attempt;
                crash_point!(ClaimSent);
                // The answer took so long that another worker may have claimed the run meanwhile.
                let late = self.read_at.elapsed() > FRESH;
                Ok(if late { Input::AcceptedLate } else { Input::Accepted })
            }
            Err(CallFailure::Unauthorised(_)) => match self.credentials().await {
                Ok(()) => Ok(Input::Refused),
                Err(pause) => {
                    self.pause(pause).await;
                    Ok(Input::Ambiguous)
                }
            },
            // The server may have accepted the claim although its answer was lost.
            Err(failure) if failure.is_passing() => {
                tracing::warn!(
                    target: "job_runner_worker.models",
                    run = %self.run,
                    error = %chain_of(&failure),
                    "claim got no clear answer; run is read again"
                );
                self.pause(Backoff::default().next(failure.retry_after())).await;
                Ok(Input::Ambiguous)
            }
            Err(_) => Ok(Input::Refused),
        }
    }

    /// Checks the worker's own credentials after a refusal. Otherwise returns the time to wait.
    pub(super) async fn credentials(&self) -> Result<(), Duration> {
        // The session at a Manager takes care of the worker's identity.
        let Some(client) = self.context.upstream.job_runner() else { return Err(KEY_REFUSED_PAUSE) };
        match client.credentials().await {
            Ok(()) => Ok(()),
            Err(failure @ CallFailure::Unauthorised(_)) => {
                tracing::error!(
                    target: "job_runner_worker.models",
                    run = %self.run,
                    worker = %client.api_key(),
                    wait_s = KEY_REFUSED_PAUSE.as_secs(),
                    error = %chain_of(&failure),
                    "server refuses api_key and secret; retrying"
                );
                Err(KEY_REFUSED_PAUSE)
            }
            Err(failure) => Err(Backoff::default().next(failure.retry_after())),
        }
    }

    // Returns the variable that tells the script when its run was scheduled, cut to 64 characters because the text is
    // the server's.
    pub(super) fn schedule_variables(&self) -> Vec<(String, String)> {
        let at = self.view.as_ref().and_then(|view| view.scheduled_at.clone());
        let at = at.map(|at| at.chars().take(64).collect());
        at.map(|at| ("JOB_RUNNER_SCHEDULED_AT".to_owned(), at)).into_iter().collect()
    }

    /// Requests the job while the claim is under way: most claims are accepted, and then the answer is there already.
    fn request_job(&mut self) {
        let Some(path) = self.view.as_ref().and_then(|view| view.job.clone()) else { return };
        if self.job.is_none()
            && let Some(client) = self.context.upstream.job_runner().cloned()
        {
            self.job_request = Some(AbortOnDropHandle::new(tokio::spawn(async move { client.job(&path).await })));
        }
    }

    /// Returns the answer to that request, or asks now if there was none.
    async fn requested_job(&mut self, client: &RestClient, path: &str) -> Result<JobView, CallFailure> {
        match self.job_request.take() {
            Some(request) => match request.await {
                Ok(answer) => answer,
                Err(_) => client.job(path).await,
            },
            None => client.job(path).await,
        }
    }

    /// Returns the script of the run's job and its time limit, or the outcome of a run without a script.
    pub(super) async fn script(&mut self, attempt: Attempt) -> Result<(Script, Option<Duration>), Outcome> {
        match self.context.upstream.clone() {
            Upstream::JobRunner(client) => self.script_of_job(&client).await,
            Upstream::Flamenco(_) => self.steps_script(attempt).map(|script| (script, None)),
        }
    }

    async fn script_of_job(&mut self, client: &RestClient) -> Result<(Script, Option<Duration>), Outcome> {
        let unreadable = |why: String| Outcome::Unstartable(format!("The script could not be read: {why}."));
        let Some(path) = self.view.as_ref().and_then(|view| view.job.clone()) else {
            return Err(unreadable("the run names no job".to_owned()));
        };
        let mut backoff = Backoff::default();
        let job = loop {
            if let Some(job) = self.job.take() {
                break job;
            }
            let mut stopped = self.signals.stopped.clone();
            let answer = tokio::select! {
                cause = stop_asked(&mut stopped) => return Err(Outcome::Cancelled(cause)),
                answer = self.requested_job(client, &path) => answer,
            };
            let pause = match answer {
                Ok(job) => break job,
                // The server answers, and has given no better answer for this job.
                Err(failure) if failure.is_answer() && backoff.tries() >= MAX_ANSWERS => {
                    return Err(unreadable(failure.to_string()));
                }
                Err(failure) if failure.is_passing() => backoff.next(failure.retry_after()),
                Err(failure @ (CallFailure::Unauthorised(_) | CallFailure::NotFound)) => match self.credentials().await
                {
                    Ok(()) => return Err(unreadable(failure.to_string())),
                    Err(pause) => pause,
                },
                Err(failure) => return Err(unreadable(failure.to_string())),
            };
            self.pause(pause).await;
        };
        match job.script {
            Some(content) => Script::parse(&content)
                .map(|script| (script, job.run_timeout))
                .map_err(|e| Outcome::Unstartable(e.to_string())),
            None => Err(unreadable("the job's script_content is no text".to_owned())),
        }
    }
}
