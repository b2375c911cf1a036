//! Reporter: starts one courier for each run, and passes events and requests between a run and its courier.

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

/// Most couriers that call the server at the same time.
const TALKING: usize = 64;
/// Most couriers at the same time for runs that were over at the start, as long as they meet no failure: each of them
/// needs memory.
const DELIVERING: usize = 128;
/// Grace for a call that is under way at the end of a flush.
const PARTING: Duration = Duration::from_millis(1500);
/// Pause between two retries of rejected calls, over all couriers: a server that rejects everything is not pressed by
/// all of them.
const RETRY_PACE: Duration = Duration::from_millis(200);
/// Most events that may wait for a courier. A run has few: start, output on request, end.
const NEWS: usize = 16;

/// State that all couriers share.
pub(super) struct ReporterHandle {
    pub(super) client: RestClient,
    pub(super) outbox: Outbox,
    pub(super) events: EventPublisher,
    pub(super) logs: Arc<dyn LogSource>,
    pub(super) settings: watch::Sender<Settings>,
    pub(super) talking: Semaphore,
    delivering: Arc<Semaphore>,
    pub(super) leave: CancellationToken,
    /// Changes when everything that waits for a retry is to be reported at once.
    pub(super) retries: watch::Sender<()>,
    /// Instant of the next retry of a rejected call.
    next_retry: Mutex<Option<Instant>>,
    dead_letters: Mutex<VecDeque<DeadLetter>>,
    served: Mutex<HashMap<RunId, Stage>>,
    /// Number of runs that are over and not delivered. Counted as they come and go, because there may be very many.
    backlog: watch::Sender<usize>,
}

/// Stage of a run that has a courier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The run is not over.
    Open,
    /// The run is over, and the server does not have all of it.
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

    /// Marks a run as over; no effect where its courier is gone already.
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

/// Handle of the report. Cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    desk: Arc<ReporterHandle>,
    couriers: TaskTracker,
}

/// Request of a courier to the run that it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CourierRequest {
    /// Report when there is more output than this number of bytes.
    Watch(u64),
    /// Stop the script: the server says that the run does not belong to this worker.
    Stop,
}

/// Event of a run, for its courier.
#[derive(Debug)]
pub(super) enum DeliveryEvent {
    Claimed(Option<Attempt>),
    Started(Start),
    Output(u64),
    Ended(StoredEnd),
    Relaunched(Box<OutboxEntry>),
}

impl Reporter {
    /// Makes a reporter over an outbox, with the dead letters that the outbox held.
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

    /// Reports under other settings from now on, and moves the event publisher if its endpoint changed.
    pub fn reconfigure(&self, settings: Settings) {
        let before = self.desk.settings.send_replace(settings.clone());
        if before.ws_server() != settings.ws_server() {
            self.desk.events.move_to(settings.ws_server());
        }
    }

    /// Starts a courier for a run, and returns the run's side of the report. With `doubt`, the server may know more of
    /// the run than the entry says.
    #[must_use]
    pub fn serve(&self, entry: OutboxEntry, doubt: bool) -> RunReport {
        let (news, heard) = mpsc::channel(NEWS);
        let (asks, asked) = mpsc::channel(NEWS);
        let courier = Courier::new(Arc::clone(&self.desk), &entry, doubt, heard, asks);
        let desk = Arc::clone(&self.desk);
        let run = entry.run;
        // Counted before the courier starts: one that ends at once must find the run counted.
        desk.serves(run, if entry.end.is_some() { Stage::Over } else { Stage::Open });
        self.couriers.spawn(async move {
            courier.go().await;
            desk.is_done_with(run);
        });
        RunReport { entry, desk: Arc::clone(&self.desk), news, asked }
    }

    /// Starts a courier for a run that was over at the start. Of very many such runs a limited number is delivered at a
    /// time; a run that the server does not take leaves its turn to the others.
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
                // The other ends are dropped at once: a run that is over has no further events, and no script to stop.
                let (_, heard) = mpsc::channel(1);
                let (asks, _) = mpsc::channel(1);
                let courier = Courier::new(Arc::clone(&desk), &entry, true, heard, asks).in_turn(turn);
                // Boxed, so that the task of a run that waits for its turn stays small.
                Box::pin(courier.go()).await;
            }
            desk.is_done_with(run);
        });
    }

    /// Returns the handle of the outbox.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.desk.outbox
    }

    /// Publishes an event that belongs to no courier.
    pub fn event(&self, event: Event) {
        self.desk.events.tell(event);
    }

    /// Removes everything that is stored of a run.
    pub async fn forget(&self, entry: &OutboxEntry) {
        self.desk.outbox.forget_run(entry.run).await;
        self.desk.logs.forget(entry.run, entry.attempt);
    }

    /// Closes the event publisher once it has sent what waits. May block.
    pub fn close_events(&self) {
        self.desk.events.close();
    }

    /// Returns the dead letters, the oldest first.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.desk.letters().iter().cloned().collect()
    }

    /// Reports at once everything that waits for a retry, rejected or not.
    pub fn retry(&self) {
        self.desk.retries.send_replace(());
    }

    /// Returns the number of runs that are over and not delivered, with every change of it.
    #[must_use]
    pub fn backlog(&self) -> watch::Receiver<usize> {
        self.desk.backlog.subscribe()
    }

    /// Returns the number of runs that have a courier.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.desk.served().len()
    }

    /// Tells whether a run has a courier; such a run belongs to this worker, whatever a list of the server says.
    #[must_use]
    pub fn serves(&self, run: RunId) -> bool {
        self.desk.served().contains_key(&run)
    }

    /// Waits until everything is delivered, or until no run was delivered for as long as `bound`. The rest stays on
    /// disk.
    pub async fn flush(&self, bound: Duration) {
        self.couriers.close();
        loop {
            // One more round as long as at least one run was delivered in the last.
            let before = self.undelivered();
            let all = tokio::time::timeout(bound, self.couriers.wait()).await.is_ok();
            if all || self.undelivered() >= before {
                break;
            }
        }
        self.leave(PARTING).await;
    }

    /// Ends all couriers, each after the call that it is in: a call that is cut off may have been carried out. Facts
    /// that were not delivered are on disk.
    pub async fn leave(&self, bound: Duration) {
        self.desk.leave.cancel();
        self.couriers.close();
        let _ = tokio::time::timeout(bound, self.couriers.wait()).await;
    }
}

/// End of a run that is known and not yet written.
pub struct UnwrittenEnd {
    desk: Arc<ReporterHandle>,
    run: RunId,
}

impl UnwrittenEnd {
    /// Counts the run among those that wait to be delivered from now on.
    pub fn came(&self) {
        self.desk.is_over(self.run);
    }
}

/// Report of one run, held by the task that executes it. It owns the run's entry: a fact is written to the outbox first
/// and then passed to the courier.
pub struct RunReport {
    entry: OutboxEntry,
    desk: Arc<ReporterHandle>,
    news: mpsc::Sender<DeliveryEvent>,
    asked: mpsc::Receiver<CourierRequest>,
}

impl RunReport {
    /// Returns the run's entry as it was last written or changed.
    #[must_use]
    pub fn entry(&self) -> &OutboxEntry {
        &self.entry
    }

    /// Sets the attempt under which the server knows the run. It is written to disk with the next fact.
    pub async fn claimed(&mut self, claim: Option<Attempt>) {
        self.entry.claim = claim;
        // Fails only where the courier has ended; it then needs no events any more.
        let _ = self.news.send(DeliveryEvent::Claimed(claim)).await;
    }

    /// Returns a handle for a task that learns of the end before the end can be written.
    #[must_use]
    pub fn ending(&self) -> UnwrittenEnd {
        UnwrittenEnd { desk: Arc::clone(&self.desk), run: self.entry.run }
    }

    /// Records the start of the script; a repetition has no effect.
    pub async fn started(&mut self, start: Start) {
        // A run that is taken up again repeats a start that the outbox has.
        if self.entry.start.as_ref() == Some(&start) {
            return;
        }
        self.entry.start = Some(start.clone());
        self.desk.outbox.run(&self.entry).await;
        let _ = self.news.send(DeliveryEvent::Started(start)).await;
    }

    /// Passes on the number of bytes of output so far; not written to disk.
    pub async fn output(&mut self, total: u64) {
        let _ = self.news.send(DeliveryEvent::Output(total)).await;
    }

    /// Records that an execution was lost and the next one begins, with the entry of the next one.
    pub async fn relaunched(&mut self, entry: OutboxEntry) {
        self.entry = entry;
        self.desk.outbox.run(&self.entry).await;
        let _ = self.news.send(DeliveryEvent::Relaunched(Box::new(self.entry.clone()))).await;
    }

    /// Records the end of the run, and hands the run over to its courier.
    pub async fn ended(mut self, end: StoredEnd) {
        self.entry.end = Some(end.clone());
        // Counted before the write: an end that waits for a full disk is part of the backlog too.
        self.desk.is_over(self.entry.run);
        self.desk.outbox.run(&self.entry).await;
        let _ = self.news.send(DeliveryEvent::Ended(end)).await;
    }

    /// Waits for the next request of the courier; for ever once the courier is done.
    pub async fn asked(&mut self) -> CourierRequest {
        match self.asked.recv().await {
            Some(ask) => ask,
            None => std::future::pending().await,
        }
    }
}
