//! Events of workers over ZeroMQ: reads them from a bound SUB socket, as the original's WebSocket server does.
//!
//! A message that is not an event is dropped. Events are not signed, so nothing in the store follows from them: they
//! are for listeners of the original's format, who already receive the changes of the store. Only events without such a
//! change are passed on.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep_until};

use super::zmtp::{Port, ZmtpConnection, ZmtpEnd, ZmtpLimits};
use crate::run::{Event, chain_of};
use crate::server::state::AppState;
use crate::server::store::changes::{Change, ChangeNotice};
use crate::wire::event::{MAX_OBJECT, TOPIC, read};
use crate::wire::zmtp::{PeerCommand, SocketRole, pong, said, subscription};

#[cfg(test)]
mod tests;

/// Events of one port that may wait to be read.
const ROOM: usize = 10_000;
/// Limits of a peer's messages: an event has two short frames. A connection that exceeds them is closed.
const LIMITS: ZmtpLimits = ZmtpLimits { frame: 2 * MAX_OBJECT, frames: 4 };
/// Messages of one peer that are read in a second.
const IN_A_SECOND: usize = 5000;
/// Period of that limit.
const SECOND: Duration = Duration::from_secs(1);
/// Latest events that are remembered to recognise repetitions.
const REMEMBERED: usize = 4096;

/// A bound port, before events are read from it.
#[derive(Debug)]
pub struct Inlet(Port);

impl Inlet {
    /// Binds a port at an address.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Port::bind(address).await.map(Self)
    }

    /// Address that was bound, with its actual port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Reads events until the server stops.
    pub async fn read(self, app: Arc<AppState>) {
        let (sender, received) = broadcast::channel(ROOM);
        let stop = app.stop.clone();
        tokio::select! {
            () = self.0.serve(&stop, |stream, peer| serve(stream, peer, sender.clone())) => {}
            () = pass_on(received, &app) => {}
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, sender: broadcast::Sender<Event>) {
    let ended = match ZmtpConnection::shake(stream, SocketRole::Subscriber, LIMITS).await {
        Ok(connection) => receive(connection, peer, &sender).await,
        Err(end) => Err(end),
    };
    if let Err(end) = ended {
        tracing::debug!(target: "job_runner.events", address = %peer, error = %chain_of(&end), "connection closed");
    }
}

/// Reads the events of a peer, no more in a second than any worker sends; TCP holds back the rest at the peer.
async fn receive(
    mut connection: ZmtpConnection,
    peer: SocketAddr,
    sender: &broadcast::Sender<Event>,
) -> Result<(), ZmtpEnd> {
    connection.writer.write(&subscription(TOPIC.as_bytes())).await?;
    loop {
        // A peer that sends more waits out its second, which also bounds the work of decoding.
        let until = Instant::now() + SECOND;
        for _ in 0..IN_A_SECOND {
            let frames = connection.reader.message().await?;
            if let [frame] = &frames[..]
                && frame.is_command
            {
                if let PeerCommand::Ping(context) = said(frame) {
                    connection.writer.write(&pong(context)).await?;
                }
                continue;
            }
            match read(&frames.iter().map(|frame| frame.body.as_slice()).collect::<Vec<_>>()) {
                Ok(event) => drop(sender.send(event)),
                Err(e) => tracing::debug!(
                    target: "job_runner.events",
                    address = %peer,
                    error = %chain_of(&e),
                    "message is not an event; dropped"
                ),
            }
        }
        sleep_until(until).await;
    }
}

async fn pass_on(mut received: broadcast::Receiver<Event>, app: &AppState) {
    let mut news = app.changes().subscribe();
    let mut memory = Memory::default();
    loop {
        tokio::select! {
            // A worker sends its event after the server has its report, so the change is read first and the event
            // recognised as a repetition.
            biased;
            heard = news.next() => match heard {
                // Only recorded: listeners receive the change itself.
                ChangeNotice::Item(item) => drop(event_of(item).map(|event| memory.is_new(event))),
                // Events of missed changes are passed on, so that listeners may receive them twice.
                ChangeNotice::Missed => {}
                ChangeNotice::Closed => return,
            },
            event = received.recv() => match event {
                Ok(event) if memory.is_new(event) => app.events.publish(event),
                // Events beyond the bound are lost: nothing depends on them.
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
        }
    }
}

/// Returns the event that a change is in the original's format, if it has one.
#[must_use]
pub fn event_of(item: Change) -> Option<Event> {
    match item {
        Change::RunEnqueued(run) => Some(Event::RunEnqueued(run)),
        Change::RunStarted(run) => Some(Event::RunStarted(run)),
        Change::RunReturned(run) => Some(Event::RunReturned(run)),
        Change::KillTaken(kill) => Some(Event::KillEnqueued(kill)),
        Change::KillExecuted(kill) => Some(Event::KillExecuted(kill)),
        Change::RunScheduled(_) | Change::RunWaits(_) | Change::RunGivenBack(_) | Change::RunLog(..) => None,
        Change::KillRequested(_) | Change::JobChanged(_) | Change::WorkerChanged(_) => None,
        Change::CatalogueChanged | Change::FarmChanged => None,
    }
}

/// Events of late, from changes and from workers.
#[derive(Debug, Default)]
struct Memory {
    known: HashSet<Event>,
    order: VecDeque<Event>,
}

impl Memory {
    fn is_new(&mut self, event: Event) -> bool {
        if !self.known.insert(event) {
            return false;
        }
        self.order.push_back(event);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}
