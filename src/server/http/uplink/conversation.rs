//! What is said with one worker: orders and answers down, calls up.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::run::{Attempt, Instance, Order, RunId};
use crate::server::domain::life::{LifeRefusal, Who};
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

/// What the bodies of calls are.
const JSON: &str = "application/json";
/// How many calls of one worker are answered at once.
const AT_ONCE: usize = 16;
/// How many answers may wait to be sent.
const ANSWERS: usize = 16;
/// How often the worker is pinged.
const PING: Duration = Duration::from_secs(20);
/// How long a worker may be silent, and how long it may take to take what is sent.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a worker that is to go may take to hear why.
const PARTING: Duration = Duration::from_secs(2);

/// Who was let in.
pub struct Caller {
    /// The worker.
    pub worker: Box<Worker>,
    /// Which instance of it, if it says.
    pub instance: Option<Instance>,
    /// Whether it speaks our language.
    pub speaks: bool,
}

/// Talks with a worker until one side has enough. One that does not speak our language gets orders only.
pub async fn hold(
    app: Arc<AppState>,
    caller: Caller,
    socket: WebSocket,
    peer: Option<HttpPeer>,
    superseded: CancellationToken,
) {
    if let Some(peer) = &peer {
        peer.count_messages();
    }
    let Caller { worker, instance, speaks } = caller;
    let (mut sink, stream) = socket.split();
    let (answers, answered) = mpsc::channel(ANSWERS);
    // First the ear, then the word that it is there: what is given in between is heard.
    let orders = app.orders.carry_to(worker.api_key.clone());
    app.orders.arrived(worker.api_key.clone());
    tracing::info!(target: "job_runner.uplink", "worker {} is connected", worker.api_key);
    let leave = peer.as_ref().map(|peer| peer.leave().clone()).unwrap_or_default();
    let line = Arc::new(Line { app: Arc::clone(&app), identity: Identity::Worker(worker), instance, speaks, peer });
    let code = tokio::select! {
        code = listen(&line, stream, answers) => code,
        () = speak(&line, &mut sink, orders, answered) => Some(close_code::AWAY),
        // Its memory is needed at once.
        () = leave.cancelled() => None,
        () = superseded.cancelled() => Some(close_code::POLICY),
        () = app.stop.cancelled() => Some(close_code::AWAY),
    };
    if let Some(code) = code {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static("") };
        let _ = tokio::time::timeout(PARTING, sink.send(Message::Close(Some(frame)))).await;
    }
    tracing::info!(target: "job_runner.uplink", "worker {} is gone", line.worker().api_key);
}

/// Whom we talk with.
struct Line {
    app: Arc<AppState>,
    identity: Identity,
    instance: Option<Instance>,
    speaks: bool,
    /// Its connection, where the bytes of its messages are counted.
    peer: Option<HttpPeer>,
}

/// Hears calls. The code to close with, if the worker is there still.
async fn listen(line: &Arc<Line>, mut stream: SplitStream<WebSocket>, answers: mpsc::Sender<Vec<u8>>) -> Option<u16> {
    let seats = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let heard = tokio::time::timeout(SILENCE, stream.next()).await;
        let receipt = line.peer.as_ref().map(HttpPeer::take_message);
        // Heard of now though it was given up, and another works in its place.
        if matches!(heard, Ok(Some(Ok(_)))) && !line.is_at_work() {
            return Some(close_code::POLICY);
        }
        let message = match heard {
            Ok(Some(Ok(Message::Binary(message)))) if line.speaks => message,
            Ok(Some(Ok(Message::Text(_)))) if line.speaks => return Some(close_code::UNSUPPORTED),
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return None,
            Ok(Some(Ok(_))) => continue,
        };
        let Ok(head) = serde_json::from_slice::<uplink::CallHead>(uplink::parts(&message).0) else {
            return Some(close_code::POLICY);
        };
        // Who calls faster than is answered waits here.
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return None };
        let (line, tell, is_long) = (Arc::clone(line), answers.clone(), message.len() > MAX_UP);
        tokio::spawn(async move {
            let answer = line.answer(&head, uplink::parts(&message).1).await;
            drop((message, receipt));
            let _ = tell.send(answer).await;
            drop(seat);
        });
        if is_long {
            // The connection would keep a buffer of that length. It ends when everything is answered.
            drop(answers);
            return std::future::pending().await;
        }
    }
}

/// Says orders and answers, until there are no more answers or the worker does not take them.
async fn speak(
    line: &Line,
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
                Some(order) => line.order(order).await,
                None => return,
            },
            _ = ping.tick() => Message::Ping(Bytes::new()),
        };
        if !matches!(tokio::time::timeout(SILENCE, sink.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

impl Line {
    fn worker(&self) -> &Worker {
        match &self.identity {
            Identity::Worker(worker) => worker,
            Identity::Operator => unreachable!("only workers are let in"),
        }
    }

    /// Notes that the instance is heard of. False where another one is at work.
    fn is_at_work(&self) -> bool {
        self.instance.as_ref().is_none_or(|instance| self.app.instances.hear(self.worker().id, instance))
    }

    /// An order; with the run and its job, where that fits and is understood.
    async fn order(&self, order: Order) -> Message {
        if let Order::Enqueue(run) = order
            && self.speaks
            && let Some(due) = self.due(run).await
        {
            return Message::Binary(due.into());
        }
        Message::Text(orders::text(order).into())
    }

    async fn due(&self, run: RunId) -> Option<Vec<u8>> {
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
                let whole = content.whole(Arc::clone(&self.app), call.scope(), MAX_DOWN).await.ok()?;
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
                Some(body) => body.whole(Arc::clone(&self.app), call.scope(), MAX_DOWN).await,
                None => Ok(String::new()),
            };
            match body {
                Ok(body) => (answer.status, answer.location, answer.attempt, body),
                // Over HTTP it is sent as it is read, however long it is.
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
        let who = Who::Worker(self.worker().id, attempt);
        match self.app.store.append_log(run, from, text, who, self.app.settings.max_log).await {
            Ok(Appended::Kept(log)) => (200, Some(Resource::RunLog.path(log.get())), None, String::new()),
            Ok(Appended::Elsewhere(_)) => status(ELSEWHERE),
            Ok(Appended::TooLong) => status(413),
            Ok(Appended::Refused(LifeRefusal::Theirs)) => status(401),
            Ok(Appended::Refused(_)) => status(409),
            Ok(Appended::Unknown) => status(404),
            Err(e) if e.is_outage() => status(503),
            Err(e) => {
                tracing::error!(target: "job_runner.uplink", "{e}: {:?}", std::error::Error::source(&e));
                status(500)
            }
        }
    }
}
