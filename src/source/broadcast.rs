//! Broadcast source: receives orders over a ZeroMQ SUB socket, in a thread that sleeps until a message arrives.
//!
//! A load balancer can keep the worker's connection open after its own to the broadcaster is gone: nothing arrives and
//! nothing fails. So after `reconnect_after_inactivity` a second socket is subscribed; the first is closed only when
//! the second has received a message, so that no order is missed in between. Orders that arrive on both are received
//! twice, which is normal.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{OrderReceiver, Settings};
use crate::intake::Intake;
use crate::report::endpoint;
use crate::run::{ApiKey, chain_of};
use crate::wire::broadcast::{MAX_FRAME, order, topic};

#[cfg(test)]
mod tests;

/// First pause of libzmq before it connects again, in milliseconds; its longest is ten times that.
const RECONNECT_MS: i32 = 200;
/// Time after a lost connection within which libzmq reports that it connects again; without a report it never will,
/// because it gives up a peer that breaks the protocol or sends too large a frame.
const GIVEN_UP: Duration = Duration::from_secs(1);
/// Pause before a socket is created again after that failed, most likely for want of file descriptors.
const AGAIN: Duration = Duration::from_secs(5);
/// Events of libzmq's socket monitor that tell of a lost connection and of a new try.
const LOST: u16 = zmq::SocketEvent::DISCONNECTED as u16;
const TRIED: u16 = zmq::SocketEvent::CONNECTED as u16
    | zmq::SocketEvent::CONNECT_DELAYED as u16
    | zmq::SocketEvent::CONNECT_RETRIED as u16;

/// Handle of the running source.
pub struct Broadcast {
    tell: zmq::Socket,
    settings: SyncSender<Settings>,
    thread: JoinHandle<()>,
}

/// Most settings that may wait for the listener, which takes them at once.
const SETTINGS: usize = 4;
/// Messages to the listener: read new settings, or stop.
const LOOK: &[u8] = b"look";
const STOP: &[u8] = b"stop";

impl Broadcast {
    /// Starts the listener in a thread of its own, which subscribes and passes orders on. Resolving the broadcaster's
    /// name may take time, so the thread does that too.
    ///
    /// # Errors
    /// If ZeroMQ has no socket or the system no thread for it.
    pub fn start(settings: Settings, key: &ApiKey, intake: Intake) -> Result<Self, zmq::Error> {
        let context = zmq::Context::new();
        let tell = context.socket(zmq::PAIR)?;
        tell.bind("inproc://broadcast-told")?;
        let told = context.socket(zmq::PAIR)?;
        told.connect("inproc://broadcast-told")?;
        let (news, fresh_settings) = sync_channel(SETTINGS);
        let topic = topic(key);
        let mut listener = Listener {
            current: Subscription::new(&context, &topic, 0)?,
            context,
            topic,
            previous: None,
            lost: HashMap::new(),
            made: 0,
            settings,
            fresh_settings,
            receiver: OrderReceiver::new(intake),
            heard: Instant::now(),
        };
        let thread = std::thread::Builder::new()
            .name("broadcast".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || {
                if let Err(e) = listener.current.connect(&listener.settings).and_then(|()| listener.listen(&told)) {
                    tracing::error!(target: "job_runner_worker.enqueuer", error = %chain_of(&e), "subscription to the broadcaster failed");
                }
            })
            // ZeroMQ has no error for a thread that cannot be started; this one asks for another try as well.
            .map_err(|_| zmq::Error::EAGAIN)?;
        Ok(Self { tell, settings: news, thread })
    }

    /// Listens under other settings from now on. Another broadcaster is subscribed to before the first is left.
    pub fn reconfigure(&self, settings: Settings) {
        if self.settings.try_send(settings).is_err() || self.tell.send(LOOK, zmq::DONTWAIT).is_err() {
            tracing::error!(target: "job_runner_worker.enqueuer", "new settings are not applied; too many wait");
        }
    }

    /// Stops the listener and waits for its thread.
    pub fn stop(self) {
        if self.tell.send(STOP, zmq::DONTWAIT).is_ok() {
            let _ = self.thread.join();
        }
    }
}

/// Subscribed socket, and the socket on which libzmq reports the events of its connections.
struct Subscription {
    socket: zmq::Socket,
    watch: zmq::Socket,
}

impl Subscription {
    /// Creates a subscribed socket that is not connected yet.
    fn new(context: &zmq::Context, topic: &str, number: u64) -> Result<Self, zmq::Error> {
        let socket = context.socket(zmq::SUB)?;
        let place = format!("inproc://broadcast-watch-{number}");
        socket.monitor(&place, i32::from(LOST | TRIED))?;
        let watch = context.socket(zmq::PAIR)?;
        watch.set_linger(0)?;
        watch.connect(&place)?;
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
        Ok(Self { socket, watch })
    }

    /// Connects to all addresses of the broadcaster. Resolves the host name, which may take time.
    fn connect(&self, settings: &Settings) -> Result<(), zmq::Error> {
        let (host, port) = settings.broadcaster();
        endpoint::connect_all(&self.socket, host, port)
    }
}

struct Listener {
    context: zmq::Context,
    settings: Settings,
    fresh_settings: Receiver<Settings>,
    topic: String,
    current: Subscription,
    previous: Option<Subscription>,
    /// Deadline for libzmq to connect again, for each endpoint to which the connection was lost.
    lost: HashMap<Vec<u8>, Instant>,
    /// Number of sockets that were created after the first; part of the name of each monitor.
    made: u64,
    receiver: OrderReceiver,
    heard: Instant,
}

impl Listener {
    fn listen(&mut self, told: &zmq::Socket) -> Result<(), zmq::Error> {
        loop {
            let patience = self.settings.reconnect_after_inactivity.saturating_sub(self.heard.elapsed());
            if patience.is_zero() {
                self.renew();
                continue;
            }
            let given_up = self.lost.values().min().map(|until| until.saturating_duration_since(Instant::now()));
            if given_up.is_some_and(|left| left.is_zero()) {
                self.replace();
                continue;
            }
            let patience = given_up.map_or(patience, |left| left.min(patience));
            let current = &self.current;
            let mut items: Vec<_> =
                [told, &current.socket, &current.watch].map(|socket| socket.as_poll_item(zmq::POLLIN)).into();
            items.extend(self.previous.as_ref().map(|previous| previous.socket.as_poll_item(zmq::POLLIN)));
            match zmq::poll(&mut items, poll_ms(patience)) {
                Err(zmq::Error::EINTR) => continue,
                polled => polled?,
            };
            let readable: Vec<bool> = items.iter().map(|item| item.is_readable()).collect();
            if readable[0] && self.told(told) {
                return Ok(());
            }
            if readable[2] {
                self.watch()?;
            }
            if readable[1] {
                // The other socket is emptied first, because it is closed afterwards.
                self.receive_all(true)?;
                self.receive_all(false)?;
                if let Some(previous) = self.previous.take() {
                    drop(previous);
                    tracing::info!(target: "job_runner_worker.enqueuer", "new connection to the broadcaster works");
                }
            } else if readable.get(3) == Some(&true) {
                self.receive_all(true)?;
            }
        }
    }

    /// Handles a message to the listener. Returns true where the listener is to stop.
    fn told(&mut self, told: &zmq::Socket) -> bool {
        if told.recv_bytes(zmq::DONTWAIT).is_ok_and(|word| word == STOP) {
            return true;
        }
        while let Ok(settings) = self.fresh_settings.try_recv() {
            let moves = settings.broadcaster() != self.settings.broadcaster();
            self.settings = settings;
            if moves {
                self.change_over();
            }
        }
        false
    }

    fn receive_all(&mut self, from_previous: bool) -> Result<(), zmq::Error> {
        loop {
            let subscription = if from_previous { self.previous.as_ref() } else { Some(&self.current) };
            let Some(subscription) = subscription else { return Ok(()) };
            match subscription.socket.recv_multipart(zmq::DONTWAIT) {
                Ok(frames) => {
                    self.heard = Instant::now();
                    // For the log: the content is the second frame, after the topic, or the only one.
                    let content = frames.get(1).or(frames.first()).map(Vec::as_slice).unwrap_or_default();
                    self.receiver.receive(order(&frames, &self.topic), content);
                }
                Err(zmq::Error::EAGAIN) => return Ok(()),
                Err(zmq::Error::EINTR) => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn renew(&mut self) {
        tracing::warn!(
            target: "job_runner_worker.enqueuer",
            inactive_s = self.settings.reconnect_after_inactivity.as_secs(),
            "no activity from the broadcaster; reconnecting"
        );
        self.change_over();
    }

    /// Subscribes anew, and keeps the old subscription until a message arrives on the new one.
    fn change_over(&mut self) {
        // Whether or not this succeeds, the next try is due after the next silence.
        self.heard = Instant::now();
        match self.fresh() {
            Ok(fresh) => self.previous = Some(std::mem::replace(&mut self.current, fresh)),
            Err(e) => no_socket(e),
        }
    }

    /// Replaces a socket that libzmq will not connect any more.
    fn replace(&mut self) {
        tracing::warn!(
            target: "job_runner_worker.enqueuer",
            limit_bytes = MAX_FRAME,
            "broadcaster breached the protocol or sent too large a message; reconnecting"
        );
        match self.fresh() {
            Ok(fresh) => self.current = fresh,
            Err(e) => {
                // Without a socket, only this deadline wakes the listener.
                self.lost.insert(Vec::new(), Instant::now() + AGAIN);
                no_socket(e);
            }
        }
    }

    fn fresh(&mut self) -> Result<Subscription, zmq::Error> {
        self.lost.clear();
        self.made += 1;
        let fresh = Subscription::new(&self.context, &self.topic, self.made)?;
        fresh.connect(&self.settings)?;
        Ok(fresh)
    }

    /// Records which connections were lost, and which libzmq tries again.
    fn watch(&mut self) -> Result<(), zmq::Error> {
        loop {
            match self.current.watch.recv_multipart(zmq::DONTWAIT) {
                Ok(frames) => {
                    let [about, place] = &frames[..] else { continue };
                    // The first two bytes are the event's number in the byte order of the machine, as libzmq defines
                    // its monitor messages.
                    let event = about.first_chunk().map_or(0, |bytes| u16::from_ne_bytes(*bytes));
                    if event & LOST != 0 {
                        self.lost.insert(place.clone(), Instant::now() + GIVEN_UP);
                    } else if event & TRIED != 0 {
                        self.lost.remove(place);
                    }
                }
                Err(zmq::Error::EAGAIN) => return Ok(()),
                Err(zmq::Error::EINTR) => {}
                Err(e) => return Err(e),
            }
        }
    }
}

fn no_socket(e: zmq::Error) {
    tracing::error!(target: "job_runner_worker.enqueuer", error = %chain_of(&e), "no new connection to the broadcaster");
}

/// Rounds up to whole milliseconds, so that the time has passed when the poll returns.
fn poll_ms(patience: Duration) -> i64 {
    i64::try_from(patience.as_millis()).unwrap_or(i64::MAX - 1).saturating_add(1)
}
