//! Event publisher: sends events over a ZeroMQ PUB socket, which connects to the WebSocket server, as that expects.
//!
//! An event asks its receivers to read again, so it is sent after the server has the facts, and a lost event loses no
//! fact. libzmq reconnects by itself; a thread waits for events without polling, and at exit sends what it still can in
//! a bounded time.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use super::endpoint;
use crate::run::{Event, chain_of};
use crate::wire::event;

/// Most events that may wait for the publisher.
const QUEUE: usize = 10_000;
/// Longest wait at exit for the other side to take what is left, in milliseconds.
const LINGER_MS: i32 = 2000;

/// Handle of the publisher's thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EventPublisher {
    queue: SyncSender<PublisherMessage>,
}

/// Message to the publisher's thread.
#[derive(Debug)]
enum PublisherMessage {
    Event(Event),
    /// New host and port, to which events go from now on.
    MoveTo(String, u16),
    Close,
}

impl EventPublisher {
    /// Starts the publisher's thread, which ends when it is closed or the last handle is dropped.
    ///
    /// The publisher has a ZeroMQ context, and so a thread of libzmq, of its own: that thread also resolves names, and
    /// a name server that does not answer must hold up no other socket.
    ///
    /// # Errors
    /// If ZeroMQ has no socket or the system no thread for it.
    pub fn start((host, port): (&str, u16)) -> Result<(Self, JoinHandle<()>), zmq::Error> {
        let context = zmq::Context::new();
        let socket = unconnected(&context)?;
        let host = host.to_owned();
        let (queue, said) = sync_channel(QUEUE);
        let publisher = std::thread::Builder::new()
            .name("events".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || {
                connect(&socket, &host, port);
                publish(&context, socket, &said);
            })
            .map_err(|_| zmq::Error::EAGAIN)?;
        Ok((Self { queue }, publisher))
    }

    /// Sends later events to another host and port.
    pub fn move_to(&self, (host, port): (&str, u16)) {
        if self.queue.try_send(PublisherMessage::MoveTo(host.to_owned(), port)).is_err() {
            tracing::error!(
                target: "job_runner_worker.events",
                address = %format_args!("{host}:{port}"),
                "new address of events is not applied; too many wait"
            );
        }
    }

    /// Ends the publisher once it has sent what waits. Blocks while the queue is full.
    pub fn close(&self) {
        let _ = self.queue.send(PublisherMessage::Close);
    }

    /// Queues an event. With a full queue the event is dropped, because receivers read again anyway.
    pub fn tell(&self, event: Event) {
        if let Err(TrySendError::Full(PublisherMessage::Event(event))) =
            self.queue.try_send(PublisherMessage::Event(event))
        {
            tracing::warn!(target: "job_runner_worker.events", event = event::object(event), "too many events wait; this one is dropped");
        }
    }
}

fn unconnected(context: &zmq::Context) -> Result<zmq::Socket, zmq::Error> {
    let socket = context.socket(zmq::PUB)?;
    socket.set_linger(LINGER_MS)?;
    socket.set_sndhwm(10_000)?;
    socket.set_tcp_keepalive(1)?;
    socket.set_reconnect_ivl(100)?;
    socket.set_reconnect_ivl_max(5000)?;
    Ok(socket)
}

fn connect(socket: &zmq::Socket, host: &str, port: u16) {
    if let Err(e) = endpoint::connect(socket, host, port) {
        log_unconnected(host, port, e);
    }
}

fn log_unconnected(host: &str, port: u16, error: zmq::Error) {
    tracing::error!(
        target: "job_runner_worker.events",
        address = %format_args!("{host}:{port}"),
        error = %chain_of(&error),
        "no connection for events"
    );
}

fn publish(context: &zmq::Context, mut socket: zmq::Socket, said: &Receiver<PublisherMessage>) {
    while let Ok(said) = said.recv() {
        match said {
            PublisherMessage::Event(event) => {
                let content = event::object(event);
                tracing::debug!(target: "job_runner_worker.events", event = content, "event is sent");
                if let Err(e) = socket.send_multipart([event::TOPIC.as_bytes(), content.as_bytes()], 0) {
                    tracing::warn!(target: "job_runner_worker.events", event = content, error = %chain_of(&e), "event was not sent");
                }
            }
            PublisherMessage::MoveTo(host, port) => match unconnected(context) {
                Ok(moved) => {
                    connect(&moved, &host, port);
                    // The old socket is dropped here and still sends what it holds, for the time of its linger.
                    socket = moved;
                }
                Err(e) => {
                    log_unconnected(&host, port, e);
                }
            },
            PublisherMessage::Close => return,
        }
    }
}
