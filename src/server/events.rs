//! Events of workers, over ZeroMQ: a SUB socket that is bound, as the original's WebSocket server has it.
//!
//! What is no event is dropped and nothing else happens. Nobody signs events, so they are believed in nothing:
//! they are for onlookers, who are told by the news already of what reached the store. What is passed on here is
//! what the news has not told.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::broadcast;

use super::broadcast::{bind, pair, spawn};
use super::news::{Heard, Item};
use super::office::Office;
use crate::run::Event;
use crate::wire::event::{TOPIC, read};

#[cfg(test)]
mod tests;

/// How many events a listener may fall behind, and how many may wait to be read.
const ROOM: usize = 10_000;
/// The longest message that is taken off the line, in bytes.
const MAX_MESSAGE: i64 = 64 * 1024;
/// How many events are read together, each being told once.
const TOGETHER: usize = 1000;
/// How many events of the past are remembered.
const REMEMBERED: usize = 4096;

/// Where events of workers are heard. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    sender: broadcast::Sender<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Self { sender: broadcast::channel(ROOM).0 }
    }
}

impl Events {
    /// Listens to what the news does not tell, from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }
}

/// A bound socket that nothing is read from yet.
pub struct Inlet {
    socket: zmq::Socket,
    address: SocketAddr,
    context: zmq::Context,
}

impl Inlet {
    /// Binds at an address.
    ///
    /// # Errors
    /// What ZeroMQ says.
    pub fn bind(context: &zmq::Context, address: SocketAddr) -> Result<Self, zmq::Error> {
        let socket = context.socket(zmq::SUB)?;
        socket.set_linger(0)?;
        socket.set_rcvhwm(i32::try_from(ROOM).unwrap_or(i32::MAX))?;
        socket.set_maxmsgsize(MAX_MESSAGE)?;
        socket.set_tcp_keepalive(1)?;
        socket.set_subscribe(TOPIC.as_bytes())?;
        let address = bind(&socket, address)?;
        Ok(Self { socket, address, context: context.clone() })
    }

    /// Where it is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads events until the server stops.
    ///
    /// # Errors
    /// What ZeroMQ or the system says.
    pub fn start(self, office: &Arc<Office>) -> Result<impl Future<Output = ()> + use<>, zmq::Error> {
        let (stopper, stopped) = pair(&self.context, "inproc://events")?;
        let socket = self.socket;
        let (sender, received) = broadcast::channel(ROOM);
        let thread = spawn("events", move || {
            if let Err(e) = receive(&socket, &stopped, &sender) {
                tracing::error!(target: "job_runner.events", "events are not read any more: {e}");
            }
        })?;
        let office = Arc::clone(office);
        Ok(async move {
            tokio::select! {
                () = office.stop.cancelled() => {}
                () = pass_on(received, &office) => {}
            }
            if stopper.send("", zmq::DONTWAIT).is_ok() {
                let _ = tokio::task::spawn_blocking(|| thread.join()).await;
            }
        })
    }
}

fn receive(socket: &zmq::Socket, stopped: &zmq::Socket, sender: &broadcast::Sender<Event>) -> Result<(), zmq::Error> {
    loop {
        let mut items = [socket.as_poll_item(zmq::POLLIN), stopped.as_poll_item(zmq::POLLIN)];
        match zmq::poll(&mut items, -1) {
            Err(zmq::Error::EINTR) => continue,
            polled => polled?,
        };
        if items[1].is_readable() {
            return Ok(());
        }
        let mut told = HashSet::new();
        for _ in 0..TOGETHER {
            let frames = match socket.recv_multipart(zmq::DONTWAIT) {
                Ok(frames) => frames,
                Err(zmq::Error::EAGAIN | zmq::Error::EINTR) => break,
                Err(e) => return Err(e),
            };
            match read(&frames) {
                Ok(event) if told.insert(event) => drop(sender.send(event)),
                Ok(_) => {}
                Err(e) => tracing::debug!(target: "job_runner.events", "a message is no event and was dropped: {e}"),
            }
        }
    }
}

async fn pass_on(mut received: broadcast::Receiver<Event>, office: &Office) {
    let mut news = office.news().listen();
    let mut memory = Memory::default();
    loop {
        tokio::select! {
            // A worker tells after the server knows, so what the news has to say is heard first.
            biased;
            heard = news.next() => match heard {
                Heard::Item(item) => drop(event_of(item).map(|event| memory.is_new(event))),
                Heard::Missed => {}
                Heard::Closed => return,
            },
            event = received.recv() => match event {
                Ok(event) if memory.is_new(event) => drop(office.events.sender.send(event)),
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
        }
    }
}

/// The event that a piece of news is, if it is one.
#[must_use]
pub fn event_of(item: Item) -> Option<Event> {
    match item {
        Item::RunEnqueued(run) => Some(Event::RunEnqueued(run)),
        Item::RunStarted(run) => Some(Event::RunStarted(run)),
        Item::RunReturned(run) => Some(Event::RunReturned(run)),
        Item::KillEnqueued(kill) => Some(Event::KillEnqueued(kill)),
        Item::KillExecuted(kill) => Some(Event::KillExecuted(kill)),
        Item::RunScheduled(_) | Item::RunGivenBack(_) | Item::RunLog(..) => None,
        Item::KillAsked(_) | Item::JobChanged(_) | Item::WorkerChanged(_) | Item::ThingsChanged => None,
    }
}

/// What was told lately.
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
