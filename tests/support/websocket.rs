//! The WebSocket server that pushes orders to whoever is connected.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use super::ledger::Ledger;
use super::record::WebSocketClient;

/// Messages that may wait for a slow client.
const QUEUE: usize = 1 << 16;

pub struct WebSocketServer {
    pub address: SocketAddr,
    messages: broadcast::Sender<Message>,
    refusal: Arc<AtomicU16>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Pusher {
    ledger: Arc<Ledger>,
    messages: broadcast::Sender<Message>,
    /// Status for new clients; 0: they are welcome.
    refusal: Arc<AtomicU16>,
}

impl WebSocketServer {
    pub async fn start(ledger: Arc<Ledger>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let messages = broadcast::Sender::new(QUEUE);
        let refusal = Arc::new(AtomicU16::new(0));
        let pusher = Pusher { ledger, messages: messages.clone(), refusal: refusal.clone() };
        let service = Router::new().fallback(upgrade).with_state(pusher);
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, service).await;
        });
        Self { address, messages, refusal, task }
    }

    /// Sends this to every client that is connected now.
    pub fn push(&self, message: Message) {
        let _ = self.messages.send(message);
    }

    pub fn refuse(&self, status: Option<u16>) {
        self.refusal.store(status.unwrap_or(0), Ordering::SeqCst);
    }
}

impl Drop for WebSocketServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn upgrade(Shared(pusher): Shared<Pusher>, uri: Uri, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let refusal = pusher.refusal.load(Ordering::SeqCst);
    if refusal != 0 {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::from_u16(refusal).expect("a status of HTTP");
        return response;
    }
    let headers =
        headers.iter().map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect();
    upgrade.on_upgrade(move |socket| pusher.serve(socket, uri.to_string(), headers))
}

impl Pusher {
    async fn serve(self, mut socket: WebSocket, path: String, headers: Vec<(String, String)>) {
        // First the queue, then the record: who waited for the client and pushes is heard.
        let mut queue = self.messages.subscribe();
        let index = self.ledger.change(|state| {
            let seq = state.next_seq();
            let id = state.websockets.len() as u64 + 1;
            state.websockets.push(WebSocketClient {
                id,
                seq,
                path,
                headers,
                received: Vec::new(),
                pings: 0,
                pongs: 0,
                open: true,
            });
            state.websockets.len() - 1
        });
        loop {
            tokio::select! {
                message = queue.recv() => {
                    let Ok(message) = message else { break };
                    if socket.send(message).await.is_err() {
                        break;
                    }
                }
                received = socket.recv() => {
                    let Some(Ok(message)) = received else { break };
                    self.note(index, message);
                }
            }
        }
        self.ledger.change(|state| state.websockets[index].open = false);
    }

    fn note(&self, index: usize, message: Message) {
        self.ledger.change(|state| {
            let client = &mut state.websockets[index];
            match message {
                Message::Text(text) => client.received.push(text.to_string()),
                Message::Ping(_) => client.pings += 1,
                Message::Pong(_) => client.pongs += 1,
                Message::Binary(_) | Message::Close(_) => {}
            }
        });
    }
}
