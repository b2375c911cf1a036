//! Fan-out: encodes each change in both event formats and queues it for every listener.

use std::future::Future;
use std::sync::Arc;

use crate::run::{KillId, RunId};
use crate::server::link::events::event_of;
use crate::server::state::AppState;
use crate::server::store::changes::{Change, ChangeNotice};
use crate::wire::event;
use crate::wire::feed::{EventKind, FeedMessage};

#[cfg(test)]
mod tests;

/// Queues all changes for the listeners, from this call until the server stops, then waits for the listeners' tasks to
/// end.
pub fn work(app: Arc<AppState>) -> impl Future<Output = ()> + Send {
    // Subscribed before the future is polled, so that no change between the call and its first poll is missed.
    let mut hearsay = app.events.listen();
    let mut news = app.changes().subscribe();
    async move {
        let listeners = &app.feed.listeners;
        loop {
            tokio::select! {
                () = app.stop.cancelled() => break,
                heard = news.next() => match heard {
                    ChangeNotice::Item(item) => listeners.tell(event_of(item).map(event::object), Some(told(item))),
                    // Listeners at `/events` read everything again; the original's format has no such message.
                    ChangeNotice::Missed => listeners.tell(None, Some(FeedMessage::resync(0))),
                    ChangeNotice::Closed => break,
                },
                // Such an event is not verified, so it goes only to clients of the original, which has always passed on
                // unverified events.
                heard = hearsay.recv() => if let Ok(event) = heard {
                    listeners.tell(Some(event::object(event)), None);
                }
            }
        }
        listeners.tasks.close();
        listeners.tasks.wait().await;
    }
}

/// Message for a change at `/events`; its number is set when it is queued.
fn told(item: Change) -> FeedMessage {
    let run = |run: RunId, event| FeedMessage { run_id: Some(run.get()), ..FeedMessage::new(0, EventKind::Run, event) };
    let kill = |kill: KillId, event| FeedMessage {
        kill_request_id: Some(kill.get()),
        ..FeedMessage::new(0, EventKind::KillRequest, event)
    };
    match item {
        Change::RunScheduled(id) => run(id, "scheduled"),
        Change::RunWaits(id) => run(id, "waits"),
        Change::RunEnqueued(id) => run(id, "enqueued"),
        Change::RunGivenBack(id) => run(id, "given_back"),
        Change::RunStarted(id) => run(id, "started"),
        Change::RunReturned(id) => run(id, "returned"),
        Change::RunLog(id, length) => FeedMessage { length: Some(length), ..run(id, "log") },
        Change::KillRequested(id) => kill(id, "scheduled"),
        Change::KillTaken(id) => kill(id, "enqueued"),
        Change::KillExecuted(id) => kill(id, "executed"),
        Change::JobChanged(job) => {
            FeedMessage { job_id: Some(job.get()), ..FeedMessage::new(0, EventKind::Job, "changed") }
        }
        Change::WorkerChanged(worker) => {
            FeedMessage { worker_id: Some(worker.get()), ..FeedMessage::new(0, EventKind::Worker, "changed") }
        }
        Change::CatalogueChanged => FeedMessage::new(0, EventKind::Thing, "changed"),
        // Pages that do not show the farm leave these out in the browser: the feed is one for all listeners.
        Change::FarmChanged => FeedMessage::new(0, EventKind::Farm, "changed"),
    }
}
