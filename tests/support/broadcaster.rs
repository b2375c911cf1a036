//! The socket that announces runs, kill requests and pings.
//!
//! It is an XPUB: a PUB that shows the subscriptions it gets, so that a test can wait until a worker
//! hears it. On the wire the two are the same.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zeromq::{Endpoint, Socket, SocketRecv, SocketSend, XPubSocket, ZmqMessage};

use super::ledger::Ledger;
use super::record::{Announcement, Subscription};

/// Messages that may wait to be sent.
const QUEUE: usize = 200_000;

pub struct Broadcaster {
    pub address: SocketAddr,
    ledger: Arc<Ledger>,
    messages: mpsc::Sender<ZmqMessage>,
    task: JoinHandle<()>,
}

/// Where a bound socket listens.
pub fn address_of(endpoint: &Endpoint) -> SocketAddr {
    let Endpoint::Tcp(_, port) = endpoint else { panic!("bound to TCP") };
    SocketAddr::from(([127, 0, 0, 1], *port))
}

impl Broadcaster {
    pub async fn start(ledger: Arc<Ledger>) -> Self {
        let mut socket = XPubSocket::new();
        let endpoint = socket.bind("tcp://127.0.0.1:0").await.expect("a free port");
        let address = address_of(&endpoint);
        let (messages, queue) = mpsc::channel(QUEUE);
        let task = tokio::spawn(serve(socket, queue, ledger.clone()));
        Self { address, ledger, messages, task }
    }

    /// Sends these frames to whoever has subscribed to the beginning of the first.
    pub fn send(&self, frames: Vec<Vec<u8>>) {
        let bytes: Vec<Bytes> = frames.iter().cloned().map(Bytes::from).collect();
        let message = ZmqMessage::try_from(bytes).expect("at least one frame");
        self.ledger.change(|state| {
            let seq = state.next_seq();
            state.announcements.push(Announcement { seq, at: Instant::now(), frames });
        });
        self.messages.try_send(message).expect("the broadcaster runs and keeps up");
    }
}

impl Drop for Broadcaster {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut socket: XPubSocket, mut queue: mpsc::Receiver<ZmqMessage>, ledger: Arc<Ledger>) {
    loop {
        tokio::select! {
            message = queue.recv() => match message {
                // An error is that of one subscriber who has gone.
                Some(message) => drop(socket.send(message).await),
                None => return,
            },
            subscription = socket.recv() => {
                if let Ok(message) = subscription {
                    note(&ledger, &message);
                }
            }
        }
    }
}

fn note(ledger: &Ledger, message: &ZmqMessage) {
    let Some([on, topic @ ..]) = message.get(0).map(|frame| &frame[..]) else { return };
    ledger.change(|state| {
        let seq = state.next_seq();
        let (at, topic, on) = (Instant::now(), topic.to_vec(), *on == 1);
        state.subscriptions.push(Subscription { seq, at, topic, on });
    });
}
