//! Reporter: starts one courier for each run, and passes events and requests between a run and its courier.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::call_turns::CallTurns;
use super::courier_request::{CourierRequest, DeliveryEvent};
use super::delivery::ServerView;
use super::outbox_entry::{DeadLetter, OutboxEntry, Start, StoredEnd, ToldExtent};
use super::recipient::{self, DeliveryOrder};
use super::reporter_shared::ReporterShared;
use super::served_runs::{ServedRuns, Stage};
use super::{LogSource, Outbox, Recipient, Settings};
use crate::run::{Attempt, Event, RunId};

/// Grace for a call that is under way at the end of a flush.
const PARTING: Duration = Duration::from_millis(1500);
/// Most events that may wait for a courier. A run has few: start, output on request, end.
const EVENTS: usize = 16;

/// Handle of the report. Cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    shared: Arc<ReporterShared>,
    couriers: TaskTracker,
}

impl Reporter {
    /// Makes a reporter over an outbox, with the dead letters that the outbox held.
    #[must_use]
    pub fn new(
        recipient: Recipient,
        outbox: Outbox,
        logs: Arc<dyn LogSource>,
        settings: Settings,
        dead_letters: Vec<DeadLetter>,
    ) -> Self {
        let shared = ReporterShared {
            recipient,
            outbox,
            logs,
            settings: watch::Sender::new(settings),
            turns: CallTurns::default(),
            leave: CancellationToken::new(),
            runs: ServedRuns::default(),
            dead_letters: Mutex::new(dead_letters.into()),
        };
        Self { shared: Arc::new(shared), couriers: TaskTracker::new() }
    }

    /// Reports under other settings from now on, and moves the event publisher if its endpoint changed.
    pub fn reconfigure(&self, settings: Settings) {
        let before = self.shared.settings.send_replace(settings.clone());
        if before.ws_server() != settings.ws_server() {
            self.shared.recipient.move_events_to(settings.ws_server());
        }
    }

    /// Starts a courier for a run, and returns the run's side of the report. With `doubt`, the server may know more of
    /// the run than the entry says.
    #[must_use]
    pub fn serve(&self, entry: OutboxEntry, doubt: bool) -> RunReport {
        let (events, received) = mpsc::channel(EVENTS);
        let (requests, requested) = mpsc::channel(EVENTS);
        let view = if doubt { ServerView::Doubtful } else { ServerView::Assumed };
        let order = DeliveryOrder { entry: entry.clone(), view, events: received, requests, turn: None };
        let shared = Arc::clone(&self.shared);
        let run = entry.run;
        // Counted before the courier starts: one that ends at once must find the run counted.
        shared.runs.insert(run, if entry.end.is_some() { Stage::Over } else { Stage::Open });
        self.couriers.spawn(async move {
            recipient::deliver(Arc::clone(&shared), order).await;
            shared.runs.remove(run);
        });
        RunReport { entry, shared: Arc::clone(&self.shared), events, requests: requested }
    }

    /// Starts a courier for a run that was over at the start. Of very many such runs a limited number is delivered at a
    /// time; a run that the server does not take leaves its turn to the others.
    pub fn deliver(&self, entry: OutboxEntry) {
        let shared = Arc::clone(&self.shared);
        shared.runs.insert(entry.run, Stage::Over);
        self.couriers.spawn(async move {
            let run = entry.run;
            let turn = tokio::select! {
                turn = Arc::clone(&shared.turns.delivering).acquire_owned() => turn.ok(),
                () = shared.leave.cancelled() => None,
            };
            if turn.is_some() {
                // The other ends are dropped at once: a run that is over has no further events, and no script to stop.
                let (_, events) = mpsc::channel(1);
                let (requests, _) = mpsc::channel(1);
                let order = DeliveryOrder { entry, view: ServerView::Doubtful, events, requests, turn };
                // Boxed, so that the task of a run that waits for its turn stays small.
                Box::pin(recipient::deliver(Arc::clone(&shared), order)).await;
            }
            shared.runs.remove(run);
        });
    }

    /// Returns the handle of the outbox.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.shared.outbox
    }

    /// Publishes an event that belongs to no courier.
    pub fn event(&self, event: Event) {
        self.shared.recipient.tell(event);
    }

    /// Removes everything that is stored of a run.
    pub async fn forget(&self, entry: &OutboxEntry) {
        self.shared.outbox.forget_run(entry.run).await;
        self.shared.logs.forget(entry.run, entry.attempt);
    }

    /// Closes the event publisher once it has sent what waits. May block.
    pub fn close_events(&self) {
        self.shared.recipient.close_events();
    }

    /// Returns the dead letters, the oldest first.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.shared.lock_letters().iter().cloned().collect()
    }

    /// Reports at once everything that waits for a retry, rejected or not.
    pub fn retry(&self) {
        self.shared.turns.retries.send_replace(());
    }

    /// Returns the number of runs that are over and not delivered, with every change of it.
    #[must_use]
    pub fn backlog(&self) -> watch::Receiver<usize> {
        self.shared.runs.backlog.subscribe()
    }

    /// Returns the number of runs that have a courier.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.shared.runs.len()
    }

    /// Waits until no run has a courier.
    pub async fn all_delivered(&self) {
        let _ = self.shared.runs.served.subscribe().wait_for(|served| *served == 0).await;
    }

    /// Returns whether a run has a courier; such a run belongs to this worker, whatever a list of the server says.
    #[must_use]
    pub fn serves(&self, run: RunId) -> bool {
        self.shared.runs.contains(run)
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
        self.shared.leave.cancel();
        self.couriers.close();
        let _ = tokio::time::timeout(bound, self.couriers.wait()).await;
    }
}

/// End of a run that is known and not yet written.
pub struct UnwrittenEnd {
    shared: Arc<ReporterShared>,
    run: RunId,
}

impl UnwrittenEnd {
    /// Counts the run among those that wait to be delivered from now on.
    pub fn came(&self) {
        self.shared.runs.mark_over(self.run);
    }
}

/// Report of one run, held by the task that executes it. It owns the run's entry: a fact is written to the outbox first
/// and then passed to the courier.
pub struct RunReport {
    entry: OutboxEntry,
    shared: Arc<ReporterShared>,
    events: mpsc::Sender<DeliveryEvent>,
    requests: mpsc::Receiver<CourierRequest>,
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
        let _ = self.events.send(DeliveryEvent::Claimed(claim)).await;
    }

    /// Returns a handle for a task that learns of the end before the end can be written.
    #[must_use]
    pub fn ending(&self) -> UnwrittenEnd {
        UnwrittenEnd { shared: Arc::clone(&self.shared), run: self.entry.run }
    }

    /// Records the start of the script; a repetition has no effect.
    pub async fn started(&mut self, start: Start) {
        // A run that is taken up again repeats a start that the outbox has.
        if self.entry.start.as_ref() == Some(&start) {
            return;
        }
        self.entry.start = Some(start.clone());
        self.shared.outbox.run(&self.entry).await;
        let _ = self.events.send(DeliveryEvent::Started(start)).await;
    }

    /// Passes on the number of bytes of output so far; not written to disk.
    pub async fn output(&mut self, total: u64) {
        let _ = self.events.send(DeliveryEvent::Output(total)).await;
    }

    /// Records that an execution was lost and the next one begins, with the entry of the next one.
    pub async fn relaunched(&mut self, entry: OutboxEntry) {
        self.entry = entry;
        // The output begins anew. Written before the entry: a crash in between repeats log, and loses none.
        if self.shared.outbox.origin(self.entry.run).is_some() {
            self.shared.outbox.told(self.entry.run, ToldExtent::default()).await;
        }
        self.shared.outbox.run(&self.entry).await;
        let _ = self.events.send(DeliveryEvent::Relaunched(Box::new(self.entry.clone()))).await;
    }

    /// Records the end of the run, and hands the run over to its courier.
    pub async fn ended(mut self, end: StoredEnd) {
        self.entry.end = Some(end.clone());
        // Counted before the write: an end that waits for a full disk is part of the backlog too.
        self.shared.runs.mark_over(self.entry.run);
        self.shared.outbox.run(&self.entry).await;
        let _ = self.events.send(DeliveryEvent::Ended(end)).await;
    }

    /// Waits for the next request of the courier; for ever once the courier is done.
    pub async fn asked(&mut self) -> CourierRequest {
        match self.requests.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}
