//! Reporter: starts one courier for each run, and passes events and requests between a run and its courier.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use super::courier::Courier;
use super::courier_request::{CourierRequest, DeliveryEvent};
use super::entry::{DeadLetter, OutboxEntry, Start, StoredEnd};
use super::reporter_handle::{ReporterHandle, Stage};
use super::{EventPublisher, LogSource, Outbox, Settings};
use crate::rest::RestClient;
use crate::run::{Attempt, Event, RunId};

/// Grace for a call that is under way at the end of a flush.
const PARTING: Duration = Duration::from_millis(1500);
/// Most events that may wait for a courier. A run has few: start, output on request, end.
const NEWS: usize = 16;

/// Handle of the report. Cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    desk: Arc<ReporterHandle>,
    couriers: TaskTracker,
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
        let desk = ReporterHandle::new(client, outbox, events, logs, settings, dead_letters);
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

    /// Returns whether a run has a courier; such a run belongs to this worker, whatever a list of the server says.
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
