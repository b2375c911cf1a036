//! The teller: hears what is new and puts it into everybody's words.

use std::future::Future;
use std::sync::Arc;

use crate::run::{KillId, RunId};
use crate::server::events::event_of;
use crate::server::news::{Heard, Item};
use crate::server::office::Office;
use crate::wire::event;
use crate::wire::feed::{Kind, Told};

#[cfg(test)]
mod tests;

/// Tells what happens, from now until the server stops and everybody has left.
pub fn work(office: Arc<Office>) -> impl Future<Output = ()> + Send {
    let mut hearsay = office.events.listen();
    let mut news = office.news().listen();
    async move {
        let listeners = &office.feed.listeners;
        loop {
            tokio::select! {
                () = office.stop.cancelled() => break,
                heard = news.next() => match heard {
                    Heard::Item(item) => listeners.tell(event_of(item).map(event::object), Some(told(item))),
                    Heard::Missed => listeners.tell(None, Some(Told::resync(0))),
                    Heard::Closed => break,
                },
                // Nobody vouches for it, so it is passed on to those alone who have always lived with that.
                heard = hearsay.recv() => if let Ok(event) = heard {
                    listeners.tell(Some(event::object(event)), None);
                }
            }
        }
        listeners.tasks.close();
        listeners.tasks.wait().await;
    }
}

/// What we call it. It gets its number when it is told.
fn told(item: Item) -> Told {
    let run = |run: RunId, event| Told { run_id: Some(run.get()), ..Told::new(0, Kind::Run, event) };
    let kill =
        |kill: KillId, event| Told { kill_request_id: Some(kill.get()), ..Told::new(0, Kind::KillRequest, event) };
    match item {
        Item::RunScheduled(id) => run(id, "scheduled"),
        Item::RunWaits(id) => run(id, "waits"),
        Item::RunEnqueued(id) => run(id, "enqueued"),
        Item::RunGivenBack(id) => run(id, "given_back"),
        Item::RunStarted(id) => run(id, "started"),
        Item::RunReturned(id) => run(id, "returned"),
        Item::RunLog(id, length) => Told { length: Some(length), ..run(id, "log") },
        Item::KillAsked(id) => kill(id, "scheduled"),
        Item::KillEnqueued(id) => kill(id, "enqueued"),
        Item::KillExecuted(id) => kill(id, "executed"),
        Item::JobChanged(job) => Told { job_id: Some(job.get()), ..Told::new(0, Kind::Job, "changed") },
        Item::WorkerChanged(worker) => Told { worker_id: Some(worker.get()), ..Told::new(0, Kind::Worker, "changed") },
        Item::ThingsChanged => Told::new(0, Kind::Thing, "changed"),
    }
}
