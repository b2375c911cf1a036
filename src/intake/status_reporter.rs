//! Status reporter: reports the state of the worker to the server and passes the server's requests to the keeper.
//!
//! A ping is answered, a change is reported, and a worker that takes no new runs asks at intervals whether that should
//! end, in case the request was lost. Only one call is made at a time, so no report is older than the one before it.
//! The keeper follows each request once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::keeper_message::KeeperMessage;
use super::standing::{ReportedStanding, WorkerStanding};
use crate::rest::{Backoff, StatusReport};
use crate::run::WorkerState;

/// Tries to answer a ping; the next ping comes in minutes.
const TRIES: u32 = 6;
/// Interval at which a worker that takes no new runs asks for requests.
const ASK: Duration = Duration::from_secs(30);
/// Time after a call for a report during which further calls are ignored: forged orders could keep the reporter busy.
const PAUSE: Duration = Duration::from_millis(250);

/// Wake-ups of the status reporter by orders of the server.
#[derive(Debug, Default)]
pub(super) struct StatusTrigger {
    pub(super) pinged: Notify,
    pub(super) called: Notify,
}

/// Task that reports the worker's state.
pub(super) struct StatusReporter {
    pub(super) context: Arc<Context>,
    pub(super) inbox: mpsc::WeakSender<KeeperMessage>,
    pub(super) bell: Arc<StatusTrigger>,
    pub(super) standing: watch::Receiver<WorkerStanding>,
    /// Cancelled once the server was told that the worker has left.
    pub(super) dismissed: CancellationToken,
}

/// Occasion of a status report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// The server asks whether the worker is alive.
    Ping,
    /// The server has a request for the worker and calls for a report to answer.
    Call,
    /// The state differs from the reported one, or the worker rests and asks for requests.
    Ours,
}

impl StatusReporter {
    /// Runs until the intake is dropped or the server was told that the worker has left.
    pub(super) async fn attend(mut self) {
        let mut told = None;
        let mut listens = Instant::now();
        while let Some(reason) = self.wait(told.as_ref(), listens).await {
            if reason == Reason::Call {
                listens = Instant::now() + PAUSE;
            }
            let stand = self.tell(reason).await;
            let has_left = stand.as_ref().is_some_and(|stand| stand.duty == WorkerState::Offline);
            told = stand.or(told);
            // The last report is delivered; a further one would announce the worker again.
            if has_left {
                self.dismissed.cancel();
                return;
            }
        }
    }

    /// Waits for the next occasion to report; `None` if there will be none. Calls are ignored before the instant
    /// `listens`.
    async fn wait(&mut self, told: Option<&ReportedStanding>, listens: Instant) -> Option<Reason> {
        let now = self.standing.borrow_and_update().stand();
        let rests = !matches!(now.duty, WorkerState::Starting | WorkerState::Awake);
        let news = async {
            if told == Some(&now) {
                let other = self.standing.wait_for(|standing| standing.stand() != now).await;
                return other.is_ok().then_some(Reason::Ours);
            }
            Some(Reason::Ours)
        };
        let called = async {
            tokio::time::sleep_until(listens).await;
            self.bell.called.notified().await;
        };
        tokio::select! {
            // A changed state comes first: its report answers a ping as well.
            biased;
            news = news => news,
            () = self.bell.pinged.notified() => Some(Reason::Ping),
            () = called => Some(Reason::Call),
            () = tokio::time::sleep(ASK), if rests => Some(Reason::Ours),
        }
    }

    /// Reports the state and passes on the server's request. Returns the reported state; `None` for a failed answer to
    /// a ping.
    async fn tell(&mut self, reason: Reason) -> Option<ReportedStanding> {
        let mut backoff = Backoff::default();
        let pinged = reason == Reason::Ping;
        loop {
            let standing = self.standing.borrow_and_update().clone();
            match self.context.client.tell(&self.facts(&standing), pinged).await {
                Ok(request) => {
                    if let Some(request) = request
                        && let Some(inbox) = self.inbox.upgrade()
                    {
                        let _ = inbox.send(KeeperMessage::Asked(request)).await;
                    }
                    return Some(standing.stand());
                }
                Err(failure) if failure.is_passing() && (!pinged || backoff.tries() < TRIES) => {
                    tokio::time::sleep(backoff.next(failure.retry_after())).await;
                }
                Err(failure) => {
                    tracing::warn!(
                        target: "job_runner_worker.enqueuer",
                        "{}: {failure}",
                        if pinged { "a ping could not be answered" } else { "what the worker does could not be told" }
                    );
                    // Counts as reported, so that the refusal is not repeated at once; the next report brings it up to
                    // date.
                    return Some(standing.stand()).filter(|_| !pinged);
                }
            }
        }
    }

    fn facts(&self, standing: &WorkerStanding) -> StatusReport {
        StatusReport {
            concurrent_jobs: standing.concurrent_jobs,
            duty: standing.state,
            held: standing.held.clone(),
            seats_taken: standing.slots_taken,
            outbox: u32::try_from(*self.context.reporter.backlog().borrow()).unwrap_or(u32::MAX),
            restarts: self.context.restarts,
            follows: standing.follows,
            done: standing.done,
        }
    }
}
