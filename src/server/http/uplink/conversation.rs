//! Conversation with one worker over its uplink: sends orders and answers, and has calls answered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use futures_util::stream::{FuturesUnordered, SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::field::display;

use super::orders::SentJobs;
use super::session::UplinkSession;
use crate::run::Instance;
use crate::server::domain::model::Worker;
use crate::server::http::connections::{BodyReceipt, HttpPeer};
use crate::server::identity::auth::Identity;
use crate::server::link::orders::Carrier;
use crate::server::state::AppState;
use crate::wire::uplink::bundle::{Bundle, MAX_BUNDLE, unbundled};
use crate::wire::uplink::{self, CallHead, MAX_DOWN, MAX_UP, UplinkVersion};

/// Maximum number of calls of one worker that are answered at once; one bundle may have as many.
const AT_ONCE: usize = MAX_BUNDLE;
/// Maximum number of messages whose answers wait to be sent.
const ANSWERS: usize = 16;
/// Maximum number of orders that are put together before they are sent: the first of them waits as long as it takes to
/// read the others.
const ORDERS_AT_ONCE: usize = 16;
/// Interval between pings to the worker.
const PING: Duration = Duration::from_secs(20);
/// Longest silence of a worker, and longest time that it may take to accept a message.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest time that sending the reason of a close may take.
const PARTING: Duration = Duration::from_secs(2);

/// Worker that was admitted to an uplink.
pub struct Caller {
    /// Worker that signed the upgrade.
    pub worker: Box<Worker>,
    /// Instance of the worker, if it names one.
    pub instance: Option<Instance>,
    /// Version of the protocol of [`crate::wire::uplink`] that both speak; `None` for a worker that gets orders alone.
    pub version: Option<UplinkVersion>,
}

/// Serves a connection until one side ends it. A worker that does not speak the protocol gets orders only.
pub async fn run(
    app: Arc<AppState>,
    caller: Caller,
    socket: WebSocket,
    peer: Option<HttpPeer>,
    superseded: CancellationToken,
) {
    if let Some(peer) = &peer {
        peer.count_messages();
    }
    let Caller { worker, instance, version } = caller;
    let (mut sink, stream) = socket.split();
    let (answers, answered) = mpsc::channel(ANSWERS);
    // The queue is opened before the arrival is announced: orders that are given in between are not lost.
    let orders = app.orders.carry_to(worker.api_key.clone());
    app.orders.arrived(worker.api_key.clone());
    let address = peer.as_ref().map(|peer| display(peer.address()));
    tracing::info!(target: "job_runner.uplink", worker = %worker.api_key, address, "worker connected");
    let leave = peer.as_ref().map(|peer| peer.leave().clone()).unwrap_or_default();
    let session =
        Arc::new(UplinkSession { app: Arc::clone(&app), identity: Identity::Worker(worker), instance, version, peer });
    let code = tokio::select! {
        code = receive(&session, stream, answers) => code,
        () = send(&session, &mut sink, orders, answered) => Some(close_code::AWAY),
        // The connection was chosen to free memory, so not even a close frame is sent.
        () = leave.cancelled() => None,
        () = superseded.cancelled() => Some(close_code::POLICY),
        () = app.stop.cancelled() => Some(close_code::AWAY),
    };
    if let Some(code) = code {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static("") };
        let _ = tokio::time::timeout(PARTING, sink.send(Message::Close(Some(frame)))).await;
    }
    let worker = &session.worker().api_key;
    tracing::info!(target: "job_runner.uplink", %worker, address, "worker disconnected");
}

/// Reads calls and answers them in tasks of their own. Returns the code to close with, or `None` if the worker is gone
/// already.
async fn receive(
    session: &Arc<UplinkSession>,
    mut stream: SplitStream<WebSocket>,
    answers: mpsc::Sender<Vec<Vec<u8>>>,
) -> Option<u16> {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let heard = tokio::time::timeout(SILENCE, stream.next()).await;
        let receipt = session.peer.as_ref().map(HttpPeer::take_message);
        // This instance was given up as silent and another one works in its place since.
        if matches!(heard, Ok(Some(Ok(_)))) && !session.is_at_work() {
            return Some(close_code::POLICY);
        }
        let has_protocol = session.version.is_some();
        let message = match heard {
            Ok(Some(Ok(Message::Binary(message)))) if has_protocol => message,
            Ok(Some(Ok(Message::Text(_)))) if has_protocol => return Some(close_code::UNSUPPORTED),
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return None,
            Ok(Some(Ok(_))) => continue,
        };
        let Some(calls) = calls_of(session, &message) else { return Some(close_code::POLICY) };
        // A worker that calls faster than the server answers waits here, and with it its connection.
        let wanted = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        let Ok(slot) = Arc::clone(&slots).acquire_many_owned(wanted).await else { return None };
        let is_long = message.len() > MAX_UP;
        drop(message);
        tokio::spawn(answer_all(Arc::clone(session), calls, answers.clone(), (slot, receipt)));
        if is_long {
            // The connection would keep a buffer of the length of this message. It ends when every call so far is
            // answered, which [`send`] sees when the last sender of answers is dropped.
            drop(answers);
            return std::future::pending().await;
        }
    }
}

/// Reads the calls of a message: one, or those of a bundle. `None` where it breaks the protocol.
fn calls_of(session: &UplinkSession, message: &Bytes) -> Option<Vec<(CallHead, Bytes)>> {
    let messages = match session.version {
        Some(UplinkVersion::Two) if message.len() <= MAX_UP => unbundled(message).ok()?,
        _ => vec![&message[..]],
    };
    let call = |call: &[u8]| {
        let (head, body) = uplink::parts(call);
        Some((serde_json::from_slice(head).ok()?, message.slice_ref(body)))
    };
    messages.into_iter().map(call).collect()
}

/// Answers the calls of one message at the same time, so that the store can take them in one commit. Answers that are
/// there together are sent together.
async fn answer_all(
    session: Arc<UplinkSession>,
    calls: Vec<(CallHead, Bytes)>,
    answers: mpsc::Sender<Vec<Vec<u8>>>,
    (slot, receipt): (OwnedSemaphorePermit, Option<BodyReceipt>),
) {
    let mut open = calls.len();
    let mut receipt = Some(receipt);
    let answer = |(head, body): (CallHead, Bytes)| session.answer(head, body);
    let mut answered = calls.into_iter().map(answer).collect::<FuturesUnordered<_>>().ready_chunks(MAX_BUNDLE);
    while let Some(some) = answered.next().await {
        open -= some.len();
        if open == 0 {
            // The memory of the calls is given back before their answers wait for their turn.
            receipt = None;
        }
        let _ = answers.send(some).await;
    }
    // Only now may the next call begin: a worker that does not read its answers cannot make more of them.
    drop((receipt, slot));
}

/// Sends orders, answers and pings, until no more answers can come or the worker does not accept them. Whatever waits
/// goes out at once.
async fn send(
    session: &UplinkSession,
    sink: &mut SplitSink<WebSocket, Message>,
    mut orders: Carrier,
    mut answers: mpsc::Receiver<Vec<Vec<u8>>>,
) {
    let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
    let (mut sent_jobs, mut waiting) = (SentJobs::default(), VecDeque::new());
    loop {
        tokio::select! {
            some = answers.recv() => match some {
                Some(some) => waiting.extend(some.into_iter().map(|answer| Message::Binary(answer.into()))),
                None => return,
            },
            order = orders.next() => match order {
                Some(order) => waiting.push_back(session.order(order, &mut sent_jobs).await),
                None => return,
            },
            _ = ping.tick() => waiting.push_back(Message::Ping(Bytes::new())),
        }
        if session.version == Some(UplinkVersion::Two) {
            while let Ok(some) = answers.try_recv() {
                waiting.extend(some.into_iter().map(|answer| Message::Binary(answer.into())));
            }
            for _ in 0..ORDERS_AT_ONCE {
                let Some(order) = orders.try_next() else { break };
                waiting.push_back(session.order(order, &mut sent_jobs).await);
            }
        }
        while let Some(message) = next_message(session, &mut waiting) {
            if !matches!(tokio::time::timeout(SILENCE, sink.send(message)).await, Ok(Ok(()))) {
                return;
            }
        }
    }
}

/// Takes the next message to be sent: in version 2, as much of what waits as fits into a bundle.
fn next_message(session: &UplinkSession, waiting: &mut VecDeque<Message>) -> Option<Message> {
    let first = waiting.pop_front()?;
    if session.version != Some(UplinkVersion::Two) || waiting.is_empty() {
        return Some(first);
    }
    let mut bundle = match bytes_of(first) {
        Ok(first) => Bundle::of(first, MAX_DOWN),
        Err(other) => return Some(other),
    };
    while let Some(next) = waiting.pop_front() {
        match bytes_of(next) {
            Ok(next) if bundle.has_room(next.len()) => bundle.push(next),
            Ok(next) => {
                waiting.push_front(Message::Binary(next.into()));
                break;
            }
            Err(other) => {
                waiting.push_front(other);
                break;
            }
        }
    }
    Some(Message::Binary(bundle.encode().into()))
}

/// Returns the bytes of a message of the protocol; any other message, such as a ping, comes back.
fn bytes_of(message: Message) -> Result<Vec<u8>, Message> {
    match message {
        Message::Binary(bytes) => Ok(bytes.into()),
        Message::Text(text) => Ok(Bytes::from(text).into()),
        other => Err(other),
    }
}
