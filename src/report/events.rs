//! Events for onlookers, over ZeroMQ: a PUB socket that connects, as the WebSocket server expects.
//!
//! An event says "look again", so it is sent after the server has what it is about, and one that is
//! lost loses nothing. libzmq reconnects by itself; a thread of its own waits for events without
//! polling, and at exit what is under way is flushed for a moment.

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use super::{Settings, endpoint};
use crate::run::Event;
use crate::wire::event;

/// How many events may wait.
const QUEUE: usize = 10_000;
/// How long an exit waits for the other side to take what is left, in milliseconds.
const LINGER_MS: i32 = 2000;

/// The door to the publisher. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    queue: SyncSender<Option<Event>>,
}

impl Events {
    /// Starts the publisher. It ends when it is closed or the last door is dropped.
    ///
    /// # Errors
    /// What ZeroMQ or the system says.
    pub fn start(context: &zmq::Context, settings: &Settings) -> Result<(Self, JoinHandle<()>), zmq::Error> {
        let socket = context.socket(zmq::PUB)?;
        socket.set_linger(LINGER_MS)?;
        socket.set_sndhwm(10_000)?;
        socket.set_tcp_keepalive(1)?;
        socket.set_reconnect_ivl(100)?;
        socket.set_reconnect_ivl_max(5000)?;
        endpoint::connect(&socket, &settings.ws_server_hostname, settings.ws_server_port)?;
        let (queue, events) = sync_channel::<Option<Event>>(QUEUE);
        let publisher = std::thread::Builder::new()
            .name("events".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || {
                while let Ok(Some(event)) = events.recv() {
                    let content = event::object(event);
                    tracing::debug!(target: "job_runner_worker.events", "Sending event: {content}");
                    if let Err(e) = socket.send_multipart([event::TOPIC.as_bytes(), content.as_bytes()], 0) {
                        tracing::warn!(target: "job_runner_worker.events", "an event was not sent: {e}");
                    }
                }
            })
            .map_err(|_| zmq::Error::EAGAIN)?;
        Ok((Self { queue }, publisher))
    }

    /// Ends the publisher when it has sent what waits.
    pub fn close(&self) {
        let _ = self.queue.try_send(None);
    }

    /// Tells an event. Where thousands wait already, it is dropped: onlookers look again anyway.
    pub fn tell(&self, event: Event) {
        if let Err(TrySendError::Full(event)) = self.queue.try_send(Some(event)) {
            tracing::warn!(target: "job_runner_worker.events", "an event was dropped, too many wait: {event:?}");
        }
    }
}
