//! Workers that execute nothing: they connect, claim what they are told, and say that it is over. A thousand real ones
//! would leave the server no core; of the server they ask the same, but for the logs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use futures_util::{SinkExt, StreamExt};
use jobrunner::run::{ApiKey, Order, Secret};
use jobrunner::wire::hmac;
use jobrunner::wire::uplink::bundle::{Bundle, unbundled};
use jobrunner::wire::uplink::{self, CallHead, HEADER, MAX_UP, ServerFrame, UplinkVersion};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::seed::{SECRET, key};
use crate::failure::Failure;
use crate::moment::{self, Moment};

/// How many connect at once.
const AT_ONCE: usize = 16;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What they have seen of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// When it was announced first.
    pub announced: Moment,
    /// When the server took its return.
    pub returned: Moment,
}

/// Connected workers; they leave when this is dropped.
pub struct Crowd {
    seen: Arc<Mutex<HashMap<i64, Seen>>>,
    _working: JoinSet<()>,
}

impl Crowd {
    /// Connects the workers 1 to `count`.
    pub async fn connect(server: SocketAddr, count: usize) -> Result<Self, Failure> {
        let seen = Arc::new(Mutex::default());
        let mut working = JoinSet::new();
        let numbers: Vec<usize> = (1..=count).collect();
        for some in numbers.chunks(AT_ONCE) {
            let connecting = some.iter().map(|number| connect(server, *number));
            for (number, socket) in some.iter().zip(futures_util::future::join_all(connecting).await) {
                let light = Light { number: *number, calls: 0, under_way: HashMap::new(), seen: Arc::clone(&seen) };
                let socket = socket?;
                working.spawn(async move { light.work(socket).await });
            }
        }
        Ok(Self { seen, _working: working })
    }

    /// What was seen so far, by run.
    pub fn seen(&self) -> HashMap<i64, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn connect(server: SocketAddr, number: usize) -> Result<Socket, Failure> {
    let nonce = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let path = format!("/worker?{}", uplink::query(Utc::now().timestamp(), &nonce));
    let key = ApiKey::parse(&key(number)).map_err(|error| Failure(error.to_string()))?;
    let secret = Secret::new(SECRET.as_bytes().to_vec());
    let mut request = format!("ws://{server}{path}").into_client_request()?;
    request.headers_mut().insert(AUTHORIZATION, hmac::authorization(&key, &secret, "GET", &path, &[]).parse()?);
    request.headers_mut().insert(HEADER, UplinkVersion::Two.text().parse()?);
    let connecting = tokio::time::timeout(Duration::from_secs(30), connect_async(request)).await;
    Ok(connecting.map_err(|_| Failure("the server lets nobody in".to_owned()))??.0)
}

/// What a worker has said of a run.
#[derive(Clone, Copy, Debug)]
enum Step {
    Claim,
    Start,
    Return,
}

struct Light {
    number: usize,
    calls: u64,
    /// Of which run an unanswered call is, and what it says.
    under_way: HashMap<u64, (i64, Step)>,
    seen: Arc<Mutex<HashMap<i64, Seen>>>,
}

impl Light {
    async fn work(mut self, socket: Socket) {
        let (mut sink, mut stream) = socket.split();
        while let Some(Ok(message)) = stream.next().await {
            let bytes = match message {
                Message::Text(text) => text.into(),
                Message::Binary(bytes) => bytes,
                _ => continue,
            };
            let mut calls: Option<Bundle> = None;
            for message in unbundled(&bytes).unwrap_or_default() {
                match (self.hear(message), &mut calls) {
                    (None, _) => {}
                    (Some(call), None) => calls = Some(Bundle::of(call, MAX_UP)),
                    // A bundle has as many messages at most, so there is room for the answers to it.
                    (Some(call), Some(calls)) => calls.push(call),
                }
            }
            if let Some(calls) = calls
                && sink.send(Message::binary(calls.encode())).await.is_err()
            {
                return;
            }
        }
    }

    /// What is to be said to this.
    fn hear(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        match uplink::said(message).ok()? {
            ServerFrame::Answer(answer, _) => {
                let (run, step) = self.under_way.remove(&answer.answer)?;
                if answer.status != 202 {
                    return None;
                }
                match step {
                    Step::Claim => Some(self.say(run, Step::Start)),
                    Step::Start => Some(self.say(run, Step::Return)),
                    Step::Return => {
                        self.note(run, |seen| seen.returned = moment::now());
                        None
                    }
                }
            }
            ServerFrame::Order(Order::Enqueue(run)) | ServerFrame::Due(Order::Enqueue(run), ..) => {
                let is_first = self.note(run.get(), |seen| {
                    let is_first = seen.announced == 0;
                    if is_first {
                        seen.announced = moment::now();
                    }
                    is_first
                });
                is_first.then(|| self.say(run.get(), Step::Claim))
            }
            ServerFrame::Order(Order::Ping) => {
                let path = format!("/api/v1/worker/{}/", self.number);
                Some(self.call(path, &json!({"ping_response_dts": now(), "worker_version": "light"})))
            }
            _ => None,
        }
    }

    fn note<R>(&self, run: i64, note: impl FnOnce(&mut Seen) -> R) -> R {
        note(self.seen.lock().unwrap_or_else(PoisonError::into_inner).entry(run).or_default())
    }

    fn say(&mut self, run: i64, step: Step) -> Vec<u8> {
        let body = match step {
            Step::Claim => json!({"enqueue_dts": now(), "worker": format!("/api/v1/worker/{}/", self.number)}),
            Step::Start => json!({"start_dts": now(), "pid": 1}),
            Step::Return => json!({"return_dts": now(), "return_success": true}),
        };
        let message = self.call(format!("/api/v1/run/{run}/"), &body);
        self.under_way.insert(self.calls, (run, step));
        message
    }

    fn call(&mut self, path: String, body: &Value) -> Vec<u8> {
        self.calls += 1;
        let call = CallHead { call: self.calls, method: "PATCH".to_owned(), path, attempt: None, from: None };
        uplink::message(&call, body.to_string().as_bytes())
    }
}

fn now() -> String {
    Utc::now().format("%Y-%m-%d %H:%M:%S%.6f+00:00").to_string()
}
