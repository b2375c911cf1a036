//! What the server is told of this worker as a whole, and what it asks in return.
//!
//! A ping is answered, a change is told, and who takes no new runs asks every so often whether that should end, in case the
//! word was lost. One call is made at a time: an answer is never older than the one before it. What is asked goes to the
//! keeper, who follows it once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::keeper::Message;
use super::standing::{ReportedStanding, WorkerStanding};
use crate::rest::{Backoff, StatusReport};
use crate::run::WorkerState;

/// How often an answer to a ping is tried: the next ping comes in minutes.
const TRIES: u32 = 6;
/// How often who takes no new runs asks whether it should.
const ASK: Duration = Duration::from_secs(30);
/// How long we do not listen after somebody has called for us: who forges orders could keep us busy.
const PAUSE: Duration = Duration::from_millis(250);

/// Calls for attention.
#[derive(Debug, Default)]
pub(super) struct StatusTrigger {
    pub(super) pinged: Notify,
    pub(super) called: Notify,
}

/// Who tells.
pub(super) struct StatusReporter {
    pub(super) context: Arc<Context>,
    pub(super) inbox: mpsc::WeakSender<Message>,
    pub(super) bell: Arc<StatusTrigger>,
    pub(super) standing: watch::Receiver<WorkerStanding>,
    /// Cancelled when the server was told that we have left.
    pub(super) dismissed: CancellationToken,
}

/// Why there is something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// Somebody asks whether we are there.
    Ping,
    /// Somebody calls for us.
    Call,
    /// We stand otherwise than the server knows, or rest and ask whether we should.
    Ours,
}

impl StatusReporter {
    /// Until nobody needs us any more, or the server was told that we have left.
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
            if has_left {
                self.dismissed.cancel();
                return;
            }
        }
    }

    /// Waits until there is something to tell; nothing when there never will be. Calls are heard from an instant on.
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
            biased;
            news = news => news,
            () = self.bell.pinged.notified() => Some(Reason::Ping),
            () = called => Some(Reason::Call),
            () = tokio::time::sleep(ASK), if rests => Some(Reason::Ours),
        }
    }

    /// Tells, and passes on what is asked. What was told; nothing, where the server did not hear it.
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
                        let _ = inbox.send(Message::Asked(request)).await;
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
                    // Said with the next answer.
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
