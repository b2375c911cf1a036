//! The socket that takes the workers' events.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::task::JoinHandle;
use zeromq::{Socket, SocketEvent, SocketRecv, SubSocket, ZmqMessage};

use super::broadcaster::address_of;
use super::ledger::Ledger;
use super::record::Event;

pub struct EventSink {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl EventSink {
    pub async fn start(ledger: Arc<Ledger>) -> Self {
        let mut socket = SubSocket::new();
        socket.subscribe("worker.event").await.expect("subscribing before the first peer");
        let mut peers = socket.monitor();
        let endpoint = socket.bind("tcp://127.0.0.1:0").await.expect("a free port");
        let address = address_of(&endpoint);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(happened) = peers.next() => {
                        if let SocketEvent::Accepted(..) = happened {
                            ledger.change(|state| state.event_peers += 1);
                        }
                    }
                    // An error is that of one peer who has gone.
                    received = socket.recv() => if let Ok(message) = received {
                        note(&ledger, message);
                    }
                }
            }
        });
        Self { address, task }
    }
}

impl Drop for EventSink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn note(ledger: &Ledger, message: ZmqMessage) {
    let frames: Vec<Vec<u8>> = message.into_vec().iter().map(|frame| frame.to_vec()).collect();
    let topic = String::from_utf8_lossy(&frames[0]).into_owned();
    let body = frames.get(1).and_then(|frame| serde_json::from_slice(frame).ok());
    ledger.change(|state| {
        let seq = state.next_seq();
        let body = body.unwrap_or(Value::Null);
        state.events.push(Event { seq, at: Instant::now(), frames, topic, body });
    });
}
