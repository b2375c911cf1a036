//! Status reporter: reports the state of the worker to the server and passes the server's commands to the intake.
//!
//! A ping is answered, a change is reported, and a worker that takes no new runs asks at intervals whether that should
//! end, in case the command was lost. Only one call is made at a time, so no report is older than the one before it.
//! The intake follows each command once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::intake::{Intake, PublishedState, StatusRequests};
use crate::report::Reporter;
use crate::run::lack::{self, Lack};
use crate::run::{RequestId, WorkerState, chain_of};
use crate::upstream::Backoff;
use crate::upstream::job_runner::{RestClient, StatusReport};

/// Tries to answer a ping; the next ping comes in minutes.
const PING_TRIES: u32 = 6;
/// Interval at which a worker that takes no new runs asks for commands.
const ASK_INTERVAL: Duration = Duration::from_secs(30);
/// Time after a call for a report during which further calls are ignored: forged orders could keep the reporter busy.
const CALL_PAUSE: Duration = Duration::from_millis(250);

/// Handle of the task that reports the worker's state. Dropping it ends the task.
#[derive(Debug)]
pub struct StatusReporter {
    _task: AbortOnDropHandle<()>,
    /// Cancelled once the server was told that the worker has left.
    departure_reported: CancellationToken,
}

impl StatusReporter {
    /// Starts to report the state of the intake. `restarts` tells whether the worker can restart itself.
    #[must_use]
    pub fn start(client: RestClient, intake: Intake, reporter: Reporter, restarts: bool) -> Self {
        let departure_reported = CancellationToken::new();
        let task = StatusTask {
            client,
            requests: intake.status_requests(),
            state: intake.state(),
            intake,
            reporter,
            restarts,
            departure_reported: departure_reported.clone(),
        };
        Self { _task: AbortOnDropHandle::new(tokio::spawn(task.run())), departure_reported }
    }

    /// Waits until the server was told that the worker has left.
    pub async fn departure_reported(&self) {
        self.departure_reported.cancelled().await;
    }
}

/// Long-running half of the status reporter, behind its handle.
struct StatusTask {
    client: RestClient,
    intake: Intake,
    reporter: Reporter,
    requests: Arc<StatusRequests>,
    state: watch::Receiver<PublishedState>,
    restarts: bool,
    departure_reported: CancellationToken,
}

/// Part of the worker's state whose change is reported to the server at once.
#[derive(Clone, Debug)]
struct ReportedState {
    state: WorkerState,
    held: Vec<Lack>,
    concurrent_jobs: u32,
    follows: Option<RequestId>,
    done: Option<RequestId>,
}

impl ReportedState {
    fn of(published: &PublishedState) -> Self {
        let PublishedState { state, concurrent_jobs, follows, done, .. } = *published;
        Self { state, held: published.held.clone(), concurrent_jobs, follows, done }
    }
}

/// The amounts of short resources change all the time, so they do not make a difference; they are reported with the
/// next change.
impl PartialEq for ReportedState {
    fn eq(&self, other: &Self) -> bool {
        let rest = |one: &Self| (one.state, one.concurrent_jobs, one.follows, one.done);
        rest(self) == rest(other) && lack::are_alike(&self.held, &other.held)
    }
}

/// Occasion of a status report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReportOccasion {
    /// The server asks whether the worker is alive.
    Ping,
    /// The server has a command for the worker and calls for a report to answer.
    Call,
    /// The state differs from the reported one, or the worker takes no runs and asks for commands.
    Ours,
}

impl StatusTask {
    /// Runs until the server was told that the worker has left.
    async fn run(mut self) {
        let mut reported = None;
        let mut calls_from = Instant::now();
        while let Some(occasion) = self.next_occasion(reported.as_ref(), calls_from).await {
            if occasion == ReportOccasion::Call {
                calls_from = Instant::now() + CALL_PAUSE;
            }
            let state = self.report(occasion).await;
            let has_left = state.as_ref().is_some_and(|state| state.state == WorkerState::Offline);
            reported = state.or(reported);
            // The last report is delivered; a further one would announce the worker again.
            if has_left {
                self.departure_reported.cancel();
                return;
            }
        }
    }

    /// Waits for the next occasion to report; `None` if there will be none. Calls are ignored before the instant
    /// `calls_from`.
    async fn next_occasion(&mut self, reported: Option<&ReportedState>, calls_from: Instant) -> Option<ReportOccasion> {
        let now = ReportedState::of(&self.state.borrow_and_update());
        let takes_no_runs = !matches!(now.state, WorkerState::Starting | WorkerState::Awake);
        let change = async {
            if reported == Some(&now) {
                let other = self.state.wait_for(|state| ReportedState::of(state) != now).await;
                return other.is_ok().then_some(ReportOccasion::Ours);
            }
            Some(ReportOccasion::Ours)
        };
        let called = async {
            tokio::time::sleep_until(calls_from).await;
            self.requests.called().await;
        };
        tokio::select! {
            // A changed state comes first: its report answers a ping as well.
            biased;
            occasion = change => occasion,
            () = self.requests.pinged() => Some(ReportOccasion::Ping),
            () = called => Some(ReportOccasion::Call),
            () = tokio::time::sleep(ASK_INTERVAL), if takes_no_runs => Some(ReportOccasion::Ours),
        }
    }

    /// Reports the state and passes on the server's command. Returns the reported state; `None` for a failed answer to
    /// a ping.
    async fn report(&mut self, occasion: ReportOccasion) -> Option<ReportedState> {
        let mut backoff = Backoff::default();
        let is_ping = occasion == ReportOccasion::Ping;
        loop {
            let state = self.state.borrow_and_update().clone();
            match self.client.tell(&self.facts(&state), is_ping).await {
                Ok(command) => {
                    if let Some(command) = command {
                        self.intake.follow_command(command).await;
                    }
                    return Some(ReportedState::of(&state));
                }
                Err(failure) if failure.is_passing() && (!is_ping || backoff.tries() < PING_TRIES) => {
                    tokio::time::sleep(backoff.next(failure.retry_after())).await;
                }
                Err(failure) => {
                    tracing::warn!(
                        target: "job_runner_worker.enqueuer",
                        worker = %self.client.api_key(),
                        is_ping,
                        error = %chain_of(&failure),
                        "status report failed"
                    );
                    // Counts as reported, so that the refusal is not repeated at once; the next report brings it up to
                    // date.
                    return Some(ReportedState::of(&state)).filter(|_| !is_ping);
                }
            }
        }
    }

    fn facts(&self, state: &PublishedState) -> StatusReport {
        StatusReport {
            concurrent_jobs: state.concurrent_jobs,
            duty: state.state,
            held: state.held.clone(),
            seats_taken: state.slots_taken,
            outbox: u32::try_from(*self.reporter.backlog().borrow()).unwrap_or(u32::MAX),
            restarts: self.restarts,
            follows: state.follows,
            done: state.done,
        }
    }
}
