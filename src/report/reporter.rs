//! The door of the report: one courier a run, and what is said between a run and its courier.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::courier::Courier;
use super::entry::{DeadLetter, OutboxEntry, Start, StoredEnd};
use super::outbox::LETTERS_KEPT;
use super::{EventPublisher, LogSource, Outbox, Settings};
use crate::rest::RestClient;
use crate::run::{Attempt, Event, RunId};

/// How many couriers may talk to the server at once.
const TALKING: usize = 64;
/// How many couriers of runs that were over when we came are under way at once, while nothing goes wrong with them: what
/// many of them need at once is memory.
const DELIVERING: usize = 128;
/// How long, at the end of a flush, a call that is under way is waited for once more.
const PARTING: Duration = Duration::from_millis(1500);
/// How far apart calls are that were rejected before: a server that takes nothing is not pressed by all who wait for it.
const RETRY_PACE: Duration = Duration::from_millis(200);
/// How much news may wait for a courier. A run has few: start, output when it was asked for, end.
const NEWS: usize = 16;

/// What all couriers share.
pub(super) struct ReporterHandle {
    pub(super) client: RestClient,
    pub(super) outbox: Outbox,
    pub(super) events: EventPublisher,
    pub(super) logs: Arc<dyn LogSource>,
    pub(super) settings: watch::Sender<Settings>,
    pub(super) talking: Semaphore,
    delivering: Arc<Semaphore>,
    pub(super) leave: CancellationToken,
    /// Changes when somebody wants everything that waits to be told at once.
    pub(super) retries: watch::Sender<()>,
    /// When the next may be told that was rejected before.
    next_retry: Mutex<Option<Instant>>,
    dead_letters: Mutex<VecDeque<DeadLetter>>,
    served: Mutex<HashMap<RunId, Stage>>,
    /// How many runs are over and not delivered. Counted as they come and go: there may be very many.
    backlog: watch::Sender<usize>,
}

/// Where a run that has a courier stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It goes on.
    Open,
    /// It is over, and the server does not know all of it.
    Over,
}

impl ReporterHandle {
    fn served(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, Stage>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serves(&self, run: RunId, stage: Stage) {
        let before = self.served().insert(run, stage);
        self.count(before, Some(stage));
    }

    /// Nothing, where its courier is gone already.
    fn is_over(&self, run: RunId) {
        let before = self.served().get_mut(&run).map(|stage| std::mem::replace(stage, Stage::Over));
        self.count(before, before.map(|_| Stage::Over));
    }

    fn is_done_with(&self, run: RunId) {
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

    fn letters(&self) -> std::sync::MutexGuard<'_, VecDeque<DeadLetter>> {
        self.dead_letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn to tell something that was rejected before.
    pub(super) async fn turn_to_retry(&self) {
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

    /// The server has the result of a run: it is no dead letter any more.
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

    /// Keeps what is given up, here and on disk.
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

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    desk: Arc<ReporterHandle>,
    couriers: TaskTracker,
}

/// What a courier asks of the run it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CourierRequest {
    /// To be told when there is more output than this.
    Watch(u64),
    /// To stop the script: the server says that the run is not ours.
    Stop,
}

/// What a run tells its courier.
#[derive(Debug)]
pub(super) enum DeliveryEvent {
    Claimed(Option<Attempt>),
    Started(Start),
    Output(u64),
    Ended(StoredEnd),
    Relaunched(Box<OutboxEntry>),
}

impl Reporter {
    /// A report over a store, with the dead letters of earlier times.
    #[must_use]
    pub fn new(
        client: RestClient,
        outbox: Outbox,
        events: EventPublisher,
        logs: Arc<dyn LogSource>,
        settings: Settings,
        dead_letters: Vec<DeadLetter>,
    ) -> Self {
        let desk = ReporterHandle {
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
        };
        Self { desk: Arc::new(desk), couriers: TaskTracker::new() }
    }

    /// Reports under other settings from now on.
    pub fn reconfigure(&self, settings: Settings) {
        let before = self.desk.settings.send_replace(settings.clone());
        if before.ws_server() != settings.ws_server() {
            self.desk.events.move_to(settings.ws_server());
        }
    }

    /// Serves a run from here on. With `doubt` the server may know more of it than its entry says.
    #[must_use]
    pub fn serve(&self, entry: OutboxEntry, doubt: bool) -> RunReport {
        let (news, heard) = mpsc::channel(NEWS);
        let (asks, asked) = mpsc::channel(NEWS);
        let courier = Courier::new(Arc::clone(&self.desk), &entry, doubt, heard, asks);
        let desk = Arc::clone(&self.desk);
        let run = entry.run;
        desk.serves(run, if entry.end.is_some() { Stage::Over } else { Stage::Open });
        self.couriers.spawn(async move {
            courier.go().await;
            desk.is_done_with(run);
        });
        RunReport { entry, desk: Arc::clone(&self.desk), news, asked }
    }

    /// Delivers what is left to tell of a run that was over when we came. Of very many, some at a time; one that the server
    /// does not take holds up nobody.
    pub fn deliver(&self, entry: OutboxEntry) {
        let desk = Arc::clone(&self.desk);
        desk.serves(entry.run, Stage::Over);
        self.couriers.spawn(async move {
            let run = entry.run;
            let turn = tokio::select! {
                turn = Arc::clone(&desk.delivering).acquire_owned() => turn.ok(),
                () = desk.leave.cancelled() => None,
            };
            if turn.is_some() {
                let (_, heard) = mpsc::channel(1);
                let (asks, _) = mpsc::channel(1);
                let courier = Courier::new(Arc::clone(&desk), &entry, true, heard, asks).in_turn(turn);
                Box::pin(courier.go()).await;
            }
            desk.is_done_with(run);
        });
    }

    /// The store.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.desk.outbox
    }

    /// Tells an event that belongs to no courier.
    pub fn event(&self, event: Event) {
        self.desk.events.tell(event);
    }

    /// Removes all that is known of a run.
    pub async fn forget(&self, entry: &OutboxEntry) {
        self.desk.outbox.forget_run(entry.run).await;
        self.desk.logs.forget(entry.run, entry.attempt);
    }

    /// Sends the events that wait, and no more. May block.
    pub fn close_events(&self) {
        self.desk.events.close();
    }

    /// The last facts that could not be delivered and never will be, the oldest first.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.desk.letters().iter().cloned().collect()
    }

    /// Tells at once what waits to be told again, rejected or not.
    pub fn retry(&self) {
        self.desk.retries.send_replace(());
    }

    /// How many runs are over and not delivered.
    #[must_use]
    pub fn backlog(&self) -> watch::Receiver<usize> {
        self.desk.backlog.subscribe()
    }

    /// How many runs have a courier under way.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.desk.served().len()
    }

    /// Whether a run has one: it is ours, whatever else is said of it.
    #[must_use]
    pub fn serves(&self, run: RunId) -> bool {
        self.desk.served().contains_key(&run)
    }

    /// Waits until everything is delivered, or nothing more has been for as long as `bound`. The rest stays on
    /// disk.
    pub async fn flush(&self, bound: Duration) {
        self.couriers.close();
        loop {
            let before = self.undelivered();
            let all = tokio::time::timeout(bound, self.couriers.wait()).await.is_ok();
            if all || self.undelivered() >= before {
                break;
            }
        }
        self.leave(PARTING).await;
    }

    /// Ends all couriers, each after the call it may be in: one that is cut off may have been followed. What they
    /// have not delivered is on disk.
    pub async fn leave(&self, bound: Duration) {
        self.desk.leave.cancel();
        self.couriers.close();
        let _ = tokio::time::timeout(bound, self.couriers.wait()).await;
    }
}

/// The end of a run, known and not yet written.
pub struct UnwrittenEnd {
    desk: Arc<ReporterHandle>,
    run: RunId,
}

impl UnwrittenEnd {
    /// It counts among those that wait to be delivered from now on.
    pub fn came(&self) {
        self.desk.is_over(self.run);
    }
}

/// A run's side of its report. It owns the run's entry: what it is told is written, then carried out.
pub struct RunReport {
    entry: OutboxEntry,
    desk: Arc<ReporterHandle>,
    news: mpsc::Sender<DeliveryEvent>,
    asked: mpsc::Receiver<CourierRequest>,
}

impl RunReport {
    /// What is known of the run.
    #[must_use]
    pub fn entry(&self) -> &OutboxEntry {
        &self.entry
    }

    /// This is the attempt that the server knows the run under. It is on disk with the next fact.
    pub async fn claimed(&mut self, claim: Option<Attempt>) {
        self.entry.claim = claim;
        let _ = self.news.send(DeliveryEvent::Claimed(claim)).await;
    }

    /// For who learns that the run is over before that can be written.
    #[must_use]
    pub fn ending(&self) -> UnwrittenEnd {
        UnwrittenEnd { desk: Arc::clone(&self.desk), run: self.entry.run }
    }

    /// The script runs.
    pub async fn started(&mut self, start: Start) {
        if self.entry.start.as_ref() == Some(&start) {
            return;
        }
        self.entry.start = Some(start.clone());
        self.desk.outbox.run(&self.entry).await;
        let _ = self.news.send(DeliveryEvent::Started(start)).await;
    }

    /// There is this much output by now.
    pub async fn output(&mut self, total: u64) {
        let _ = self.news.send(DeliveryEvent::Output(total)).await;
    }

    /// An execution was lost, and another one begins.
    pub async fn relaunched(&mut self, entry: OutboxEntry) {
        self.entry = entry;
        self.desk.outbox.run(&self.entry).await;
        let _ = self.news.send(DeliveryEvent::Relaunched(Box::new(self.entry.clone()))).await;
    }

    /// The run is over.
    pub async fn ended(mut self, end: StoredEnd) {
        self.entry.end = Some(end.clone());
        self.desk.is_over(self.entry.run);
        self.desk.outbox.run(&self.entry).await;
        let _ = self.news.send(DeliveryEvent::Ended(end)).await;
    }

    /// What the courier asks for next; never, once it is done.
    pub async fn asked(&mut self) -> CourierRequest {
        match self.asked.recv().await {
            Some(ask) => ask,
            None => std::future::pending().await,
        }
    }
}
