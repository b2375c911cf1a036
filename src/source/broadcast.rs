//! Orders over ZeroMQ: a SUB socket in a thread of its own, which sleeps until something arrives.
//!
//! A balancer can keep our connection open after its own is gone: nothing arrives and nothing
//! fails. So after `reconnect_after_inactivity` a second socket is subscribed; the first is closed only
//! when the second has received something, so that nothing is missed in between. What both receive is
//! heard twice, which is normal traffic.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Ear, Settings};
use crate::intake::Intake;
use crate::report::endpoint;
use crate::run::ApiKey;
use crate::wire::broadcast::{MAX_FRAME, order, topic};

/// How long libzmq waits before it connects again; then up to ten times as long.
const RECONNECT_MS: i32 = 200;

/// The running source.
pub struct Broadcast {
    stop: zmq::Socket,
    thread: JoinHandle<()>,
}

impl Broadcast {
    /// Subscribes, and passes orders on from now on.
    ///
    /// # Errors
    /// What ZeroMQ or the system says.
    pub fn start(context: &zmq::Context, settings: Settings, key: &ApiKey, intake: Intake) -> Result<Self, zmq::Error> {
        let stop = context.socket(zmq::PAIR)?;
        stop.bind("inproc://broadcast-stop")?;
        let stopped = context.socket(zmq::PAIR)?;
        stopped.connect("inproc://broadcast-stop")?;
        let mut listener = Listener {
            context: context.clone(),
            topic: topic(key),
            current: subscribe(context, &settings, &topic(key))?,
            previous: None,
            settings,
            ear: Ear::new(intake),
            heard: Instant::now(),
        };
        let thread = std::thread::Builder::new()
            .name("broadcast".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || {
                if let Err(e) = listener.listen(&stopped) {
                    tracing::error!(target: "job_runner_worker.enqueuer", "the broadcaster is not listened to: {e}");
                }
            })
            .map_err(|_| zmq::Error::EAGAIN)?;
        Ok(Self { stop, thread })
    }

    /// Stops listening.
    pub fn stop(self) {
        if self.stop.send("", zmq::DONTWAIT).is_ok() {
            let _ = self.thread.join();
        }
    }
}

struct Listener {
    context: zmq::Context,
    settings: Settings,
    topic: String,
    current: zmq::Socket,
    previous: Option<zmq::Socket>,
    ear: Ear,
    heard: Instant,
}

impl Listener {
    fn listen(&mut self, stopped: &zmq::Socket) -> Result<(), zmq::Error> {
        loop {
            let patience = self.settings.reconnect_after_inactivity.saturating_sub(self.heard.elapsed());
            if patience.is_zero() {
                self.renew()?;
                continue;
            }
            let mut items = vec![stopped.as_poll_item(zmq::POLLIN), self.current.as_poll_item(zmq::POLLIN)];
            items.extend(self.previous.as_ref().map(|previous| previous.as_poll_item(zmq::POLLIN)));
            match zmq::poll(&mut items, poll_ms(patience)) {
                Err(zmq::Error::EINTR) => continue,
                polled => polled?,
            };
            let readable: Vec<bool> = items.iter().map(|item| item.is_readable()).collect();
            if readable[0] {
                return Ok(());
            }
            if readable[1] {
                self.receive_all(false)?;
                if let Some(previous) = self.previous.take() {
                    drop(previous);
                    tracing::info!(target: "job_runner_worker.enqueuer", "the new connection to the broadcaster works");
                }
            } else if readable.get(2) == Some(&true) {
                self.receive_all(true)?;
            }
        }
    }

    fn receive_all(&mut self, from_previous: bool) -> Result<(), zmq::Error> {
        loop {
            let socket = if from_previous { self.previous.as_ref() } else { Some(&self.current) };
            let Some(socket) = socket else { return Ok(()) };
            match socket.recv_multipart(zmq::DONTWAIT) {
                Ok(frames) => {
                    self.heard = Instant::now();
                    let content = frames.get(1).or(frames.first()).map(Vec::as_slice).unwrap_or_default();
                    self.ear.hear(order(&frames, &self.topic), content);
                }
                Err(zmq::Error::EAGAIN) => return Ok(()),
                Err(zmq::Error::EINTR) => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn renew(&mut self) -> Result<(), zmq::Error> {
        tracing::warn!(
            target: "job_runner_worker.enqueuer",
            "There was no activity for {} s, reconnecting to publisher",
            self.settings.reconnect_after_inactivity.as_secs()
        );
        let fresh = subscribe(&self.context, &self.settings, &self.topic)?;
        self.previous = Some(std::mem::replace(&mut self.current, fresh));
        self.heard = Instant::now();
        Ok(())
    }
}

fn subscribe(context: &zmq::Context, settings: &Settings, topic: &str) -> Result<zmq::Socket, zmq::Error> {
    let socket = context.socket(zmq::SUB)?;
    socket.set_linger(0)?;
    socket.set_maxmsgsize(i64::try_from(MAX_FRAME).unwrap_or(i64::MAX))?;
    socket.set_reconnect_ivl(RECONNECT_MS)?;
    socket.set_reconnect_ivl_max(RECONNECT_MS * 10)?;
    socket.set_handshake_ivl(10_000)?;
    socket.set_tcp_keepalive(1)?;
    socket.set_tcp_keepalive_idle(60)?;
    socket.set_tcp_keepalive_intvl(15)?;
    socket.set_tcp_keepalive_cnt(4)?;
    socket.set_subscribe(topic.as_bytes())?;
    endpoint::connect_all(&socket, &settings.broadcaster_server_hostname, settings.broadcaster_server_port)?;
    Ok(socket)
}

/// Rounded up, so that time has passed when we wake.
fn poll_ms(patience: Duration) -> i64 {
    i64::try_from(patience.as_millis()).unwrap_or(i64::MAX - 1).saturating_add(1)
}
