//! The broadcaster: orders over ZeroMQ, as the original's PUB socket sends them.
//!
//! The socket is an XPUB, which is a PUB to every subscriber and tells us who subscribes: a worker that has just
//! connected is told at once what it would otherwise hear at the next repeat. It lives in a thread of its own,
//! which sleeps until somebody subscribes or there is something to send.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::office::Office;
use super::orders::{Addressed, Orders};
use crate::wire::broadcast::{key_of, text, topic};

/// How many orders may wait for a worker that is slow, and for the thread.
const ROOM: i32 = 10_000;
/// The longest subscription that is read, in bytes: a topic is shorter.
const MAX_SUBSCRIPTION: i64 = 4096;
/// What a subscription begins with.
const SUBSCRIBED: u8 = 1;

/// A bound socket that nothing is sent through yet.
pub struct Broadcaster {
    socket: zmq::Socket,
    address: SocketAddr,
    context: zmq::Context,
}

impl Broadcaster {
    /// Binds at an address.
    ///
    /// # Errors
    /// What ZeroMQ says.
    pub fn bind(context: &zmq::Context, address: SocketAddr) -> Result<Self, zmq::Error> {
        let socket = context.socket(zmq::XPUB)?;
        socket.set_linger(0)?;
        socket.set_sndhwm(ROOM)?;
        socket.set_maxmsgsize(MAX_SUBSCRIPTION)?;
        socket.set_tcp_keepalive(1)?;
        // Also of a worker that comes back before its old connection was missed.
        socket.set_xpub_verbose(true)?;
        let address = bind(&socket, address)?;
        Ok(Self { socket, address, context: context.clone() })
    }

    /// Where it is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Carries orders until the server stops.
    ///
    /// # Errors
    /// What ZeroMQ or the system says.
    pub fn start(self, office: &Arc<Office>) -> Result<impl Future<Output = ()> + use<>, zmq::Error> {
        let (outlet, inlet) = pair(&self.context, "inproc://orders")?;
        let (socket, orders) = (self.socket, office.orders.clone());
        let thread = spawn("broadcaster", move || {
            if let Err(e) = send(&socket, &inlet, &orders) {
                tracing::error!(target: "job_runner.broadcaster", "nothing is broadcast any more: {e}");
            }
        })?;
        let (mut carried, stop) = (office.orders.carry(), office.stop.clone());
        Ok(async move {
            while let Some(order) = next(&mut carried, &stop).await {
                let sent =
                    outlet.send_multipart([topic(&order.to), text(order.order)].map(String::into_bytes), zmq::DONTWAIT);
                if let Err(e) = sent {
                    tracing::warn!(target: "job_runner.broadcaster", "an order waits for its repeat: {e}");
                }
            }
            // An empty message is the end.
            if outlet.send("", zmq::DONTWAIT).is_ok() {
                let _ = tokio::task::spawn_blocking(|| thread.join()).await;
            }
        })
    }
}

/// Binds a socket; answers with the address it got.
pub(super) fn bind(socket: &zmq::Socket, address: SocketAddr) -> Result<SocketAddr, zmq::Error> {
    socket.set_ipv6(address.is_ipv6())?;
    socket.bind(&format!("tcp://{address}"))?;
    let bound = socket.get_last_endpoint()?.unwrap_or_default();
    Ok(bound.strip_prefix("tcp://").and_then(|bound| bound.parse().ok()).unwrap_or(address))
}

/// Two ends of a queue in this process.
pub(super) fn pair(context: &zmq::Context, name: &str) -> Result<(zmq::Socket, zmq::Socket), zmq::Error> {
    let (here, there) = (context.socket(zmq::PAIR)?, context.socket(zmq::PAIR)?);
    for end in [&here, &there] {
        end.set_linger(0)?;
        end.set_sndhwm(ROOM)?;
        end.set_rcvhwm(ROOM)?;
    }
    there.bind(name)?;
    here.connect(name)?;
    Ok((here, there))
}

pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, zmq::Error> {
    let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(256 * 1024);
    thread.spawn(work).map_err(|_| zmq::Error::EAGAIN)
}

/// The next order to be carried, until the server stops.
async fn next(orders: &mut broadcast::Receiver<Addressed>, stop: &CancellationToken) -> Option<Addressed> {
    loop {
        let order = tokio::select! {
            () = stop.cancelled() => return None,
            order = orders.recv() => order,
        };
        match order {
            Ok(order) => return Some(order),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::warn!(target: "job_runner.broadcaster", "{missed} orders wait for their repeat");
            }
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

fn send(socket: &zmq::Socket, inlet: &zmq::Socket, orders: &Orders) -> Result<(), zmq::Error> {
    loop {
        let mut items = [socket.as_poll_item(zmq::POLLIN), inlet.as_poll_item(zmq::POLLIN)];
        match zmq::poll(&mut items, -1) {
            Err(zmq::Error::EINTR) => continue,
            polled => polled?,
        };
        let [subscribed, ordered] = items.map(|item| item.is_readable());
        if ordered && let Some(frames) = there(inlet.recv_multipart(zmq::DONTWAIT))? {
            if frames.len() < 2 {
                return Ok(());
            }
            // What nobody can take now is said again.
            there(socket.send_multipart(frames, zmq::DONTWAIT))?;
        }
        if subscribed
            && let Some(message) = there(socket.recv_bytes(zmq::DONTWAIT))?
            && let Some((&SUBSCRIBED, topic)) = message.split_first()
            && let Some(key) = key_of(topic)
        {
            orders.arrived(key);
        }
    }
}

/// Nothing, where a socket that seemed ready is not.
fn there<T>(result: Result<T, zmq::Error>) -> Result<Option<T>, zmq::Error> {
    match result {
        Ok(result) => Ok(Some(result)),
        Err(zmq::Error::EAGAIN | zmq::Error::EINTR) => Ok(None),
        Err(e) => Err(e),
    }
}
