//! The broadcaster: orders over ZeroMQ, as the original's PUB socket sends them.
//!
//! Each connection is a task that is told of the orders to the workers it has subscribed to, and of no others: a peer that is slow
//! or floods costs the others nothing. A worker that has just subscribed is told at once what it would otherwise hear at the
//! next repeat.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::orders::{Addressed, Orders, Route};
use super::zmtp::{Port, ZmtpConnection, ZmtpLimits};
use crate::server::state::AppState;
use crate::wire::broadcast::{key_of, text, topic};
use crate::wire::zmtp::{PeerCommand, SocketRole, ZmtpError, message, pong, said};

/// How many orders may wait for a connection that is slow.
const ROOM: usize = 1024;
/// How many orders are sent together.
const TOGETHER: usize = 64;
/// What a subscriber says is short: a topic is.
const LIMITS: ZmtpLimits = ZmtpLimits { frame: 512, frames: 1 };
/// How many workers a connection may hear for.
const SUBSCRIPTIONS: usize = 4;
/// How many frames a subscriber may send in a minute: one subscription, and a ping a second if it wants.
const FRAMES: u32 = 300;
/// That minute.
const MINUTE: Duration = Duration::from_secs(60);

/// A bound port that nothing is sent through yet.
#[derive(Debug)]
pub struct Broadcaster(Port);

impl Broadcaster {
    /// Binds at an address.
    ///
    /// # Errors
    /// What the system says.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Port::bind(address).await.map(Self)
    }

    /// Where it is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Carries orders until the server stops.
    pub async fn carry(self, app: Arc<AppState>) {
        let stop = app.stop.clone();
        self.0.serve(&stop, |stream| serve(stream, app.orders.clone())).await;
    }
}

async fn serve(stream: TcpStream, orders: Orders) {
    let ended = match ZmtpConnection::shake(stream, SocketRole::Publisher, LIMITS).await {
        Ok(connection) => Subscriber::new(connection, orders).work().await,
        Err(end) => Err(end),
    };
    if let Err(end) = ended {
        tracing::debug!(target: "job_runner.broadcaster", "a connection is closed: {end}");
    }
}

/// A peer that hears orders.
struct Subscriber {
    connection: ZmtpConnection,
    orders: Orders,
    sender: mpsc::Sender<Addressed>,
    carried: mpsc::Receiver<Addressed>,
    routes: Vec<Route>,
    /// How many frames it may send still in this minute, and since when it is one.
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

    /// Hears for a worker from now on. What is no worker's topic is nobody's, and remembered by nobody.
    fn subscribe(&mut self, topic: &[u8]) -> Result<(), ZmtpError> {
        let Some(key) = key_of(topic) else { return Ok(()) };
        if self.routes.iter().any(|route| *route.key() == key) {
            return Ok(());
        }
        if self.routes.len() >= SUBSCRIPTIONS {
            return Err(ZmtpError::TooManySubscriptions(SUBSCRIPTIONS));
        }
        self.routes.push(self.orders.route(key.clone(), self.sender.clone()));
        self.orders.arrived(key);
        Ok(())
    }
}

fn encode(carried: &Addressed) -> Vec<u8> {
    message(&[topic(&carried.to).as_bytes(), text(carried.order).as_bytes()])
}
