//! The REST API as a service: bytes in, record, fault or rules, bytes out.

use std::future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::stream;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::connection::{Connection, Connections, Gate};
use super::fault::{Faults, What};
use super::ledger::Ledger;
use super::record::Call;
use super::resources::{self, Reply};
use super::signature;

/// Largest request body that is read.
const BODY_LIMIT: usize = 256 << 20;

/// The API, and the lever that takes it down and up again on the same port.
pub struct Rest {
    pub address: SocketAddr,
    pub faults: Arc<Faults>,
    pub connections: Arc<Connections>,
    ledger: Arc<Ledger>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Api {
    ledger: Arc<Ledger>,
    faults: Arc<Faults>,
}

impl Rest {
    pub async fn start(ledger: Arc<Ledger>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let mut rest = Self { address, faults: Arc::default(), connections: Arc::default(), ledger, serving: None };
        rest.serve(listener);
        rest
    }

    fn serve(&mut self, listener: TcpListener) {
        let api = Api { ledger: self.ledger.clone(), faults: self.faults.clone() };
        let gate = Gate { listener, connections: self.connections.clone(), ledger: self.ledger.clone() };
        let service =
            Router::new().fallback(handle).with_state(api).into_make_service_with_connect_info::<Connection>();
        self.serving = Some(tokio::spawn(async move {
            let _ = axum::serve(gate, service).await;
        }));
    }

    /// Nobody listens any more and what was connected is reset.
    pub async fn close(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
        self.connections.reset_all();
    }

    /// Listens again on the same port.
    pub async fn reopen(&mut self) {
        if self.serving.is_none() {
            let listener = TcpListener::bind(self.address).await.expect("our port is still free");
            self.serve(listener);
        }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
        self.connections.reset_all();
    }
}

/// A request as it came, after its body.
struct Arrived {
    seq: u64,
    at: Instant,
    method: String,
    path: String,
    query: String,
    /// Path and query as they were signed.
    target: String,
    host: String,
    authorization: String,
    body: Bytes,
}

async fn handle(
    Shared(api): Shared<Api>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        connection.reset();
        return Response::default();
    };
    let mut arrived = Arrived {
        seq: 0,
        at: Instant::now(),
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        target: parts.uri.path_and_query().map_or("/".to_owned(), ToString::to_string),
        host: text_of(&parts.headers, "host"),
        authorization: text_of(&parts.headers, "authorization"),
        body,
    };
    let call = api.record(&mut arrived, connection.id, &parts.headers);
    let what = api.faults.catch(&call);
    api.respond(&arrived, &connection, what).await
}

fn text_of(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).unwrap_or_default()
}

fn body_as_value(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()))
}

impl Api {
    fn record(&self, arrived: &mut Arrived, connection: u64, headers: &HeaderMap) -> Call {
        let api_key = signature::parse(&arrived.authorization).map(|(key, _)| key.to_owned());
        let headers = headers.iter().map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()));
        self.ledger.change(|state| {
            arrived.seq = state.next_seq();
            let call = Call {
                seq: arrived.seq,
                at: arrived.at,
                answered_at: None,
                method: arrived.method.clone(),
                path: arrived.path.clone(),
                query: arrived.query.clone(),
                body: body_as_value(&arrived.body),
                status: None,
                applied: false,
                connection,
                api_key: api_key.unwrap_or_default(),
                headers: headers.collect(),
            };
            state.calls.push(call.clone());
            call
        })
    }

    /// Carries the fault out around the rules.
    async fn respond(&self, arrived: &Arrived, connection: &Connection, what: Option<What>) -> Response {
        let named = |status, headers: Vec<(String, String)>, body| Reply { status, headers, body };
        match what {
            None => self.finish(arrived, self.apply(arrived)),
            Some(What::Status(status, headers, body)) => self.finish(arrived, named(status, headers, body)),
            Some(What::StatusAfterCommit(status, headers, body)) => {
                self.apply(arrived);
                self.finish(arrived, named(status, headers, body))
            }
            Some(What::Delay(time)) => {
                tokio::time::sleep(time).await;
                self.finish(arrived, self.apply(arrived))
            }
            Some(What::DelayAfterCommit(time)) => {
                let reply = self.apply(arrived);
                tokio::time::sleep(time).await;
                self.finish(arrived, reply)
            }
            Some(What::HangForever) => future::pending().await,
            Some(What::HangAfterCommit) => {
                self.apply(arrived);
                future::pending().await
            }
            Some(What::ResetBefore) => {
                connection.reset();
                Response::default()
            }
            Some(What::ResetAfterCommit) => {
                self.apply(arrived);
                connection.reset();
                Response::default()
            }
            Some(What::Garbage(body, kind)) => {
                let headers = vec![("content-type".to_owned(), kind)];
                self.finish(arrived, named(200, headers, body))
            }
            Some(What::Redirect(status, to)) => {
                let headers = vec![("location".to_owned(), to)];
                self.finish(arrived, named(status, headers, Vec::new()))
            }
            Some(What::SlowBody(chunk, pause)) => {
                let response = self.finish(arrived, self.apply(arrived));
                dribbling(response, chunk, pause).await
            }
            Some(What::Truncate) => {
                let reply = self.apply(arrived);
                if reply.body.is_empty() {
                    connection.reset();
                }
                truncated(self.finish(arrived, reply)).await
            }
            Some(What::Headers(headers)) => {
                let mut reply = self.apply(arrived);
                reply.headers.retain(|(name, _)| !headers.iter().any(|(new, _)| new.eq_ignore_ascii_case(name)));
                reply.headers.extend(headers);
                self.finish(arrived, reply)
            }
            Some(What::Edit(edit)) => {
                let mut reply = self.apply(arrived);
                let mut value = body_as_value(&reply.body);
                edit(&mut value);
                reply.body = value.to_string().into_bytes();
                self.finish(arrived, reply)
            }
        }
    }

    /// What the server would say, with its rows changed accordingly.
    fn apply(&self, arrived: &Arrived) -> Reply {
        if !arrived.path.ends_with('/') {
            let mut reply = Reply::bare(301);
            let query = if arrived.query.is_empty() { "" } else { "?" };
            let location = format!("http://{}{}/{query}{}", arrived.host, arrived.path, arrived.query);
            reply.headers.push(("location".to_owned(), location));
            return reply;
        }
        self.ledger.change(|state| {
            let signed_by = signature::parse(&arrived.authorization).and_then(|(key, signature)| {
                let worker = state.workers.iter().find(|worker| worker.api_key == key)?;
                let right = signature::sign(&worker.secret, &arrived.method, &arrived.target, &arrived.body);
                (signature == right).then_some(worker.id)
            });
            let Some(signer) = signed_by else { return Reply::bare(401) };
            let request = resources::Request {
                seq: arrived.seq,
                at: arrived.at,
                method: &arrived.method,
                path: &arrived.path,
                query: &arrived.query,
                body: &arrived.body,
                host: &arrived.host,
                signer,
            };
            let reply = resources::answer(state, &request);
            if reply.status < 400
                && let Some(call) = state.calls.iter_mut().rfind(|call| call.seq == arrived.seq)
            {
                call.applied = true;
            }
            reply
        })
    }

    fn finish(&self, arrived: &Arrived, reply: Reply) -> Response {
        self.ledger.change(|state| {
            if let Some(call) = state.calls.iter_mut().rfind(|call| call.seq == arrived.seq) {
                call.status = Some(reply.status);
                call.answered_at = Some(Instant::now());
            }
        });
        let mut response = Response::new(Body::from(reply.body));
        *response.status_mut() = StatusCode::from_u16(reply.status).expect("a status of HTTP");
        for (name, value) in reply.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
            response.headers_mut().append(name, value);
        }
        response
    }
}

/// The response with a body of known length that comes in pieces.
async fn in_pieces<P, F>(response: Response, pieces: P) -> Response
where
    P: FnOnce(Bytes) -> F,
    F: stream::Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
{
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, BODY_LIMIT).await.expect("a body from memory");
    parts.headers.insert("content-length", HeaderValue::from(bytes.len()));
    Response::from_parts(parts, Body::from_stream(pieces(bytes)))
}

async fn dribbling(response: Response, chunk: usize, pause: Duration) -> Response {
    in_pieces(response, |bytes| {
        stream::unfold(bytes, move |mut rest| async move {
            if rest.is_empty() {
                return None;
            }
            tokio::time::sleep(pause).await;
            let piece = rest.split_to(chunk.clamp(1, rest.len()));
            Some((Ok(piece), rest))
        })
    })
    .await
}

async fn truncated(response: Response) -> Response {
    in_pieces(response, |mut bytes| {
        let half = bytes.split_to(bytes.len() / 2);
        stream::unfold(Some(half), |half| async move {
            match half {
                Some(half) => Some((Ok(half), None)),
                None => {
                    // The first half leaves before the connection ends.
                    tokio::task::yield_now().await;
                    Some((Err(std::io::Error::other("cut")), None))
                }
            }
        })
    })
    .await
}
