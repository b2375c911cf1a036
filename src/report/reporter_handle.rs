//! Shared state of the reporter and its couriers: client, outbox, settings, runs that have a courier, dead letters.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::entry::DeadLetter;
use super::outbox::LETTERS_KEPT;
use super::{EventPublisher, LogSource, Outbox, Settings};
use crate::rest::RestClient;
use crate::run::RunId;

/// Most couriers that call the server at the same time.
const TALKING: usize = 64;
/// Most couriers at the same time for runs that were over at the start, as long as they meet no failure: each of them
/// needs memory.
const DELIVERING: usize = 128;
/// Pause between two retries of rejected calls, over all couriers: a server that rejects everything is not pressed by
/// all of them.
const RETRY_PACE: Duration = Duration::from_millis(200);

/// State that all couriers share.
pub(super) struct ReporterHandle {
    pub(super) client: RestClient,
    pub(super) outbox: Outbox,
    pub(super) events: EventPublisher,
    pub(super) logs: Arc<dyn LogSource>,
    pub(super) settings: watch::Sender<Settings>,
    pub(super) talking: Semaphore,
    pub(super) delivering: Arc<Semaphore>,
    pub(super) leave: CancellationToken,
    /// Changes when everything that waits for a retry is to be reported at once.
    pub(super) retries: watch::Sender<()>,
    /// Instant of the next retry of a rejected call.
    next_retry: Mutex<Option<Instant>>,
    dead_letters: Mutex<VecDeque<DeadLetter>>,
    served: Mutex<HashMap<RunId, Stage>>,
    /// Number of runs that are over and not delivered. Counted as they come and go, because there may be very many.
    pub(super) backlog: watch::Sender<usize>,
}

/// Stage of a run that has a courier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The run is not over.
    Open,
    /// The run is over, and the server does not have all of it.
    Over,
}

impl ReporterHandle {
    pub(super) fn new(
        client: RestClient,
        outbox: Outbox,
        events: EventPublisher,
        logs: Arc<dyn LogSource>,
        settings: Settings,
        dead_letters: Vec<DeadLetter>,
    ) -> Self {
        Self {
            client,
            outbox,
            events,
            logs,
            settings: watch::Sender::new(settings),
            talking: Semaphore::new(TALKING),
            delivering: Arc::new(Semaphore::new(DELIVERING)),
            leave: CancellationToken::new(),
            retries: watch::Sender::new(()),
            next_retry: Mutex::default(),
            dead_letters: Mutex::new(dead_letters.into()),
            served: Mutex::default(),
            backlog: watch::Sender::new(0),
        }
    }

    pub(super) fn served(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, Stage>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn serves(&self, run: RunId, stage: Stage) {
        let before = self.served().insert(run, stage);
        self.count(before, Some(stage));
    }

    /// Marks a run as over; no effect where its courier is gone already.
    pub(super) fn is_over(&self, run: RunId) {
        let before = self.served().get_mut(&run).map(|stage| std::mem::replace(stage, Stage::Over));
        self.count(before, before.map(|_| Stage::Over));
    }

    pub(super) fn is_done_with(&self, run: RunId) {
        let before = self.served().remove(&run);
        self.count(before, None);
    }

    fn count(&self, before: Option<Stage>, now: Option<Stage>) {
        let over = |stage: Option<Stage>| usize::from(stage == Some(Stage::Over));
        let (less, more) = (over(before), over(now));
        if less != more {
            self.backlog.send_modify(|backlog| *backlog = *backlog + more - less);
        }
    }

    pub(super) fn letters(&self) -> std::sync::MutexGuard<'_, VecDeque<DeadLetter>> {
        self.dead_letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn to make a call again that was rejected before.
    pub(super) async fn turn_to_retry(&self) {
        // Each caller takes the next free instant, so the lock is not held while it waits.
        let at = {
            let mut next = self.next_retry.lock().unwrap_or_else(PoisonError::into_inner);
            let at = next.unwrap_or_else(Instant::now).max(Instant::now());
            *next = Some(at + RETRY_PACE);
            at
        };
        tokio::select! {
            () = tokio::time::sleep_until(at) => {}
            () = self.leave.cancelled() => {}
        }
    }

    /// Removes the dead letters of a run whose result the server has taken.
    pub(super) async fn delivered(&self, run: RunId) {
        let was_kept = {
            let mut letters = self.letters();
            let before = letters.len();
            letters.retain(|letter| letter.run != run);
            letters.len() < before
        };
        if was_kept {
            tracing::warn!(target: "job_runner_worker.models", "run {run}: its result is taken now");
            self.outbox.forget_letters(run).await;
        }
    }

    /// Keeps a dead letter in memory and on disk, in place of an older one about the same fact of the run.
    pub(super) async fn give_up(&self, letter: DeadLetter) {
        {
            let mut letters = self.letters();
            letters.retain(|known| (known.run, &known.what) != (letter.run, &letter.what));
            letters.push_back(letter.clone());
            let surplus = letters.len().saturating_sub(LETTERS_KEPT);
            letters.drain(..surplus);
        }
        self.outbox.dead_letter(letter).await;
    }
}
