//! Conversation with one worker over its uplink: sends orders and answers, and answers calls.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::field::display;

use crate::run::{Attempt, Instance, Order, RunId, chain_of};
use crate::server::domain::life::{Actor, LifeRefusal};
use crate::server::domain::model::Worker;
use crate::server::domain::resource::Resource;
use crate::server::http::connections::HttpPeer;
use crate::server::http::rest::{self, ApiCall, ApiContent};
use crate::server::identity::auth::Identity;
use crate::server::link::orders::Carrier;
use crate::server::state::AppState;
use crate::server::store::Appended;
use crate::wire::action;
use crate::wire::broadcast as orders;
use crate::wire::resources::run_id_of;
use crate::wire::uplink::{self, APPEND, AnswerHead, ELSEWHERE, EnqueueHead, MAX_DOWN, MAX_HEAD, MAX_UP, OVER_HTTP};

/// Content type of the bodies of calls.
const JSON: &str = "application/json";
/// Maximum number of calls of one worker that are answered at once.
const AT_ONCE: usize = 16;
/// Maximum number of answers that wait to be sent.
const ANSWERS: usize = 16;
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
    /// Whether the worker speaks the protocol of [`crate::wire::uplink`].
    pub has_protocol: bool,
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
    let Caller { worker, instance, has_protocol } = caller;
    let (mut sink, stream) = socket.split();
    let (answers, answered) = mpsc::channel(ANSWERS);
    // The queue is opened before the arrival is announced: orders that are given in between are not lost.
    let orders = app.orders.carry_to(worker.api_key.clone());
    app.orders.arrived(worker.api_key.clone());
    let address = peer.as_ref().map(|peer| display(peer.address()));
    tracing::info!(target: "job_runner.uplink", worker = %worker.api_key, address, "worker connected");
    let leave = peer.as_ref().map(|peer| peer.leave().clone()).unwrap_or_default();
    let session =
        Arc::new(Session { app: Arc::clone(&app), identity: Identity::Worker(worker), instance, has_protocol, peer });
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

/// Connection of one worker, as the answers to its calls need it.
struct Session {
    app: Arc<AppState>,
    identity: Identity,
    instance: Option<Instance>,
    has_protocol: bool,
    /// Connection in the table of HTTP connections, where the bytes of its messages are counted.
    peer: Option<HttpPeer>,
}

/// Reads calls and answers them in tasks of their own. Returns the code to close with, or `None` if the worker is gone
/// already.
async fn receive(
    session: &Arc<Session>,
    mut stream: SplitStream<WebSocket>,
    answers: mpsc::Sender<Vec<u8>>,
) -> Option<u16> {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let heard = tokio::time::timeout(SILENCE, stream.next()).await;
        let receipt = session.peer.as_ref().map(HttpPeer::take_message);
        // This instance was given up as silent and another one works in its place since.
        if matches!(heard, Ok(Some(Ok(_)))) && !session.is_at_work() {
            return Some(close_code::POLICY);
        }
        let message = match heard {
            Ok(Some(Ok(Message::Binary(message)))) if session.has_protocol => message,
            Ok(Some(Ok(Message::Text(_)))) if session.has_protocol => return Some(close_code::UNSUPPORTED),
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return None,
            Ok(Some(Ok(_))) => continue,
        };
        let Ok(head) = serde_json::from_slice::<uplink::CallHead>(uplink::parts(&message).0) else {
            return Some(close_code::POLICY);
        };
        // A worker that calls faster than the server answers waits here, and with it its connection.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return None };
        let (session, tell, is_long) = (Arc::clone(session), answers.clone(), message.len() > MAX_UP);
        tokio::spawn(async move {
            let answer = session.answer(&head, uplink::parts(&message).1).await;
            // The memory of the call is given back before its answer waits for its turn.
            drop((message, receipt));
            let _ = tell.send(answer).await;
            // Only now may the next call begin: a worker that does not read its answers cannot make more of them.
            drop(slot);
        });
        if is_long {
            // The connection would keep a buffer of the length of this message. It ends when every call so far is
            // answered, which [`send`] sees when the last sender of answers is dropped.
            drop(answers);
            return std::future::pending().await;
        }
    }
}

/// Sends orders, answers and pings, until no more answers can come or the worker does not accept them.
async fn send(
    session: &Session,
    sink: &mut SplitSink<WebSocket, Message>,
    mut orders: Carrier,
    mut answers: mpsc::Receiver<Vec<u8>>,
) {
    let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
    loop {
        let message = tokio::select! {
            answer = answers.recv() => match answer {
                Some(answer) => Message::Binary(answer.into()),
                None => return,
            },
            order = orders.next() => match order {
                Some(order) => session.order(order).await,
                None => return,
            },
            _ = ping.tick() => Message::Ping(Bytes::new()),
        };
        if !matches!(tokio::time::timeout(SILENCE, sink.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

impl Session {
    fn worker(&self) -> &Worker {
        match &self.identity {
            Identity::Worker(worker) => worker,
            Identity::Operator => unreachable!("only workers are let in"),
        }
    }

    /// Records a sign of life of the instance. Returns false where another instance is active.
    fn is_at_work(&self) -> bool {
        self.instance.as_ref().is_none_or(|instance| self.app.instances.hear(self.worker().id, instance))
    }

    /// Builds the message of an order; the order to execute a run has the run and its job with it, where they fit and
    /// the worker speaks the protocol.
    async fn order(&self, order: Order) -> Message {
        if let Order::Enqueue(run) = order
            && self.has_protocol
            && let Some(due) = self.order_with_job(run).await
        {
            return Message::Binary(due.into());
        }
        Message::Text(orders::text(order).into())
    }

    async fn order_with_job(&self, run: RunId) -> Option<Vec<u8>> {
        // Read in the worker's name, so that it sees no more here than over HTTP.
        let shown = self.get(&Resource::Run.path(run.get())).await?;
        let job = self.get(shown.get("job")?.as_str()?).await?;
        let (shown, job) = (shown.to_string(), job.to_string());
        let due = EnqueueHead { action: "enqueue".to_owned(), run_id: run.get(), run_bytes: shown.len() };
        let message = uplink::message(&due, &[shown.as_bytes(), job.as_bytes()].concat());
        (message.len() <= MAX_DOWN).then_some(message)
    }

    async fn get(&self, path: &str) -> Option<serde_json::Value> {
        let call = ApiCall {
            identity: &self.identity,
            attempt: None,
            instance: None,
            method: "GET",
            path,
            query: "",
            body: &[],
            kind: None,
        };
        match rest::answer(&self.app, &call).await.body? {
            ApiContent::Value(value) => Some(value),
            content @ ApiContent::Pieces(_) => {
                let whole = content.text(Arc::clone(&self.app), call.scope(), MAX_DOWN).await.ok()?;
                serde_json::from_str(&whole).ok()
            }
        }
    }

    async fn answer(&self, head: &uplink::CallHead, body: &[u8]) -> Vec<u8> {
        let attempt = head.attempt.map(Attempt);
        let (path, query) = head.path.split_once('?').unwrap_or((&head.path, ""));
        let mut request = None;
        let answer = if head.method == APPEND {
            self.append(path, attempt, head.from.unwrap_or(0), body).await
        } else {
            let (identity, instance, kind) = (&self.identity, self.instance.as_ref(), Some(JSON));
            let call = ApiCall { identity, attempt, instance, method: &head.method, path, query, body, kind };
            let answer = rest::answer(&self.app, &call).await;
            request = answer.request.map(action::text);
            let body = match answer.body {
                Some(body) => body.text(Arc::clone(&self.app), call.scope(), MAX_DOWN).await,
                None => Ok(String::new()),
            };
            match body {
                Ok(body) => (answer.status, answer.location, answer.attempt, body),
                // Over HTTP the content is sent as it is read, however long it is.
                Err(_) => (OVER_HTTP, None, None, String::new()),
            }
        };
        let (status, location, attempt, body) = answer;
        let attempt = attempt.map(|attempt| attempt.0);
        let answer = AnswerHead { answer: head.call, status, location, attempt, request };
        if body.len() + MAX_HEAD > MAX_DOWN {
            return uplink::message(&AnswerHead { status: OVER_HTTP, ..answer }, &[]);
        }
        uplink::message(&answer, body.as_bytes())
    }

    async fn append(
        &self,
        path: &str,
        attempt: Option<Attempt>,
        from: u64,
        body: &[u8],
    ) -> (u16, Option<String>, Option<Attempt>, String) {
        let status = |status: u16| (status, None, None, String::new());
        let Some(run) = run_id_of(path) else { return status(404) };
        let Ok(text) = str::from_utf8(body) else { return status(400) };
        let who = Actor::Worker(self.worker().id, attempt);
        match self.app.store.append_log(run, from, text, who, self.app.settings.max_log).await {
            Ok(Appended::Kept(log)) => (200, Some(Resource::RunLog.path(log.get())), None, String::new()),
            Ok(Appended::WrongOffset(_)) => status(ELSEWHERE),
            Ok(Appended::TooLong) => status(413),
            // The statuses are those of the REST API for the same refusals.
            Ok(Appended::Refused(LifeRefusal::Theirs)) => status(401),
            Ok(Appended::Refused(_)) => status(409),
            Ok(Appended::Unknown) => status(404),
            Err(e) if e.is_outage() => status(503),
            Err(e) => {
                let worker = &self.worker().api_key;
                tracing::error!(
                    target: "job_runner.uplink",
                    method = APPEND,
                    path,
                    address = self.peer.as_ref().map(|peer| display(peer.address())),
                    %run,
                    %worker,
                    attempt = attempt.map(|attempt| attempt.0),
                    error = %chain_of(&e),
                    "request failed"
                );
                status(500)
            }
        }
    }
}
