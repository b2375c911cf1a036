//! Status reporter: reports the state of the worker to the server and passes the server's commands to the
//! coordinator.
//!
//! A ping is answered, a change is reported, and a worker that takes no new runs asks at intervals whether that should
//! end, in case the command was lost. Only one call is made at a time, so no report is older than the one before it.
//! The coordinator follows each command once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::message::IntakeMessage;
use super::published_state::{PublishedState, ReportedState};
use crate::run::{WorkerState, chain_of};
use crate::upstream::job_runner::StatusReport;
use crate::upstream::{Backoff, Upstream};

/// Tries to answer a ping; the next ping comes in minutes.
const PING_TRIES: u32 = 6;
/// Interval at which a worker that takes no new runs asks for commands.
const ASK_INTERVAL: Duration = Duration::from_secs(30);
/// Time after a call for a report during which further calls are ignored: forged orders could keep the reporter busy.
const CALL_PAUSE: Duration = Duration::from_millis(250);

/// Wake-ups of the status reporter by orders of the server.
#[derive(Debug, Default)]
pub(super) struct StatusTrigger {
    /// The server checks that the worker is alive.
    pub(super) ping: Notify,
    /// The server has a command for the worker.
    pub(super) command: Notify,
}

/// Task that reports the worker's state.
pub(super) struct StatusReporter {
    pub(super) context: Arc<Context>,
    pub(super) inbox: mpsc::WeakSender<IntakeMessage>,
    pub(super) trigger: Arc<StatusTrigger>,
    pub(super) state: watch::Receiver<PublishedState>,
    /// Cancelled once the server was told that the worker has left.
    pub(super) departure_reported: CancellationToken,
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

impl StatusReporter {
    /// Runs until the intake is dropped or the server was told that the worker has left.
    pub(super) async fn run(mut self) {
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
        let now = self.state.borrow_and_update().reported();
        let takes_no_runs = !matches!(now.state, WorkerState::Starting | WorkerState::Awake);
        let change = async {
            if reported == Some(&now) {
                let other = self.state.wait_for(|state| state.reported() != now).await;
                return other.is_ok().then_some(ReportOccasion::Ours);
            }
            Some(ReportOccasion::Ours)
        };
        let called = async {
            tokio::time::sleep_until(calls_from).await;
            self.trigger.command.notified().await;
        };
        tokio::select! {
            // A changed state comes first: its report answers a ping as well.
            biased;
            occasion = change => occasion,
            () = self.trigger.ping.notified() => Some(ReportOccasion::Ping),
            () = called => Some(ReportOccasion::Call),
            () = tokio::time::sleep(ASK_INTERVAL), if takes_no_runs => Some(ReportOccasion::Ours),
        }
    }

    /// Reports the state and passes on the server's command. Returns the reported state; `None` for a failed answer to
    /// a ping.
    async fn report(&mut self, occasion: ReportOccasion) -> Option<ReportedState> {
        let mut backoff = Backoff::default();
        let is_ping = occasion == ReportOccasion::Ping;
        let Upstream::JobRunner(client) = self.context.upstream.clone();
        loop {
            let state = self.state.borrow_and_update().clone();
            match client.tell(&self.facts(&state), is_ping).await {
                Ok(command) => {
                    if let Some(command) = command
                        && let Some(inbox) = self.inbox.upgrade()
                    {
                        let _ = inbox.send(IntakeMessage::Commanded(command)).await;
                    }
                    return Some(state.reported());
                }
                Err(failure) if failure.is_passing() && (!is_ping || backoff.tries() < PING_TRIES) => {
                    tokio::time::sleep(backoff.next(failure.retry_after())).await;
                }
                Err(failure) => {
                    tracing::warn!(
                        target: "job_runner_worker.enqueuer",
                        worker = %client.api_key(),
                        is_ping,
                        error = %chain_of(&failure),
                        "status report failed"
                    );
                    // Counts as reported, so that the refusal is not repeated at once; the next report brings it up to
                    // date.
                    return Some(state.reported()).filter(|_| !is_ping);
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
            outbox: u32::try_from(*self.context.reporter.backlog().borrow()).unwrap_or(u32::MAX),
            restarts: self.context.restarts,
            follows: state.follows,
            done: state.done,
        }
    }
}
