//! The broadcaster: sends orders over ZeroMQ, as the original's PUB socket does.
//!
//! Each connection is a task that receives the orders to the workers it has subscribed to, and no others: a peer that
//! is slow or floods costs the others nothing. A worker that has just subscribed receives its open orders at once,
//! rather than at their next repetition.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::orders::{Addressed, Orders, Route};
use super::zmtp::{Port, ZmtpConnection, ZmtpLimits};
use crate::run::chain_of;
use crate::server::state::AppState;
use crate::wire::broadcast::{key_of, text, topic};
use crate::wire::zmtp::{PeerCommand, SocketRole, ZmtpError, message, pong, said};

/// Orders that may wait for a slow connection.
const ROOM: usize = 1024;
/// Orders that are sent in one write.
const TOGETHER: usize = 64;
/// Limits of a subscriber's messages: a topic is short.
const LIMITS: ZmtpLimits = ZmtpLimits { frame: 512, frames: 1 };
/// Workers that one connection may subscribe to.
const SUBSCRIPTIONS: usize = 4;
/// Frames that a subscriber may send in a minute: one subscription, and a ping every second if it likes.
const FRAMES: u32 = 300;
/// Period of that limit.
const MINUTE: Duration = Duration::from_secs(60);

/// A bound port, before orders are sent through it.
#[derive(Debug)]
pub struct Broadcaster(Port);

impl Broadcaster {
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

    /// Serves subscribers until the server stops.
    pub async fn carry(self, app: Arc<AppState>) {
        let stop = app.stop.clone();
        self.0.serve(&stop, |stream, peer| serve(stream, peer, app.orders.clone())).await;
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, orders: Orders) {
    let ended = match ZmtpConnection::shake(stream, SocketRole::Publisher, LIMITS).await {
        Ok(connection) => Subscriber::new(connection, orders).work().await,
        Err(end) => Err(end),
    };
    if let Err(end) = ended {
        // Anybody can connect here, so a peer's mistakes must not fill the log.
        tracing::debug!(target: "job_runner.broadcaster", address = %peer, error = %chain_of(&end), "connection closed");
    }
}

/// Connection of a subscriber.
struct Subscriber {
    connection: ZmtpConnection,
    orders: Orders,
    sender: mpsc::Sender<Addressed>,
    carried: mpsc::Receiver<Addressed>,
    routes: Vec<Route>,
    /// Frames that the peer may still send in the minute that began at `minute`.
    frames: u32,
    minute: Instant,
}

impl Subscriber {
    fn new(connection: ZmtpConnection, orders: Orders) -> Self {
        let (sender, carried) = mpsc::channel(ROOM);
        Self { connection, orders, sender, carried, routes: Vec::new(), frames: FRAMES, minute: Instant::now() }
    }

    async fn work(mut self) -> Result<(), super::zmtp::ZmtpEnd> {
        let mut together = Vec::new();
        loop {
            tokio::select! {
                frame = self.connection.reader.frame() => {
                    let frame = frame?;
                    self.count()?;
                    match said(&frame) {
                        PeerCommand::Subscribe(topic) => self.subscribe(topic)?,
                        PeerCommand::Cancel(topic) => self.routes.retain(|route| key_of(topic).as_ref() != Some(route.key())),
                        PeerCommand::Ping(context) => self.connection.writer.write(&pong(context)).await?,
                        PeerCommand::Nothing => {}
                    }
                }
                // The subscriber holds a sender itself, so this queue never closes.
                _ = self.carried.recv_many(&mut together, TOGETHER) => {
                    let bytes: Vec<u8> = together.drain(..).flat_map(|carried| encode(&carried)).collect();
                    self.connection.writer.write(&bytes).await?;
                }
            }
        }
    }

    fn count(&mut self) -> Result<(), ZmtpError> {
        if self.minute.elapsed() >= MINUTE {
            (self.frames, self.minute) = (FRAMES, Instant::now());
        }
        self.frames = self.frames.checked_sub(1).ok_or(ZmtpError::TooMany(FRAMES))?;
        Ok(())
    }

    /// Subscribes to the orders of a worker. A topic that is not a worker's is ignored and not stored.
    fn subscribe(&mut self, topic: &[u8]) -> Result<(), ZmtpError> {
        let Some(key) = key_of(topic) else { return Ok(()) };
        if self.routes.iter().any(|route| *route.key() == key) {
            return Ok(());
        }
        if self.routes.len() >= SUBSCRIPTIONS {
            return Err(ZmtpError::TooManySubscriptions(SUBSCRIPTIONS));
        }
        // Registered before the arrival is reported, so that the orders that follow from it are carried.
        self.routes.push(self.orders.route(key.clone(), self.sender.clone()));
        self.orders.arrived(key);
        Ok(())
    }
}

fn encode(carried: &Addressed) -> Vec<u8> {
    message(&[topic(&carried.to).as_bytes(), text(carried.order).as_bytes()])
}
