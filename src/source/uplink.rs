//! WebSocket to a server of this project: orders come down, and calls go up with their answers coming down.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderMap;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, HeaderValue};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use url::Url;

use super::OrderReceiver;
use super::connection::{ConnectionEnd, PING, SILENCE};
use crate::upstream::job_runner::{Calls, Outgoing, RestClient, Uplink};
use crate::wire::instance;
use crate::wire::uplink::bundle::{BadBundle, Bundle, unbundled};
use crate::wire::uplink::{self, AnswerHead, HEADER, MAX_UP, ServerFrame, UplinkVersion};

/// Number of unanswered calls from which those are dropped whose callers wait no more.
const UNANSWERED: usize = 256;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Makes the request of the upgrade: signed and asking for an uplink where it goes to the host of the configured
/// server, plain otherwise.
pub(super) fn request(url: &Url, client: &RestClient) -> Result<Request, tungstenite::Error> {
    let mut signed = url.clone();
    // Timestamp and nonce are part of what is signed, so that a recorded upgrade cannot be used again.
    let nonce = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let mine = uplink::query(chrono::Utc::now().timestamp(), &nonce);
    signed.set_query(Some(&url.query().map_or(mine.clone(), |query| format!("{query}&{mine}"))));
    let path_and_query = format!("{}?{}", signed.path(), signed.query().unwrap_or_default());
    let Some(authorization) = client.signature(url.host_str(), "GET", &path_and_query) else {
        return url.as_str().into_client_request();
    };
    let mut request = signed.as_str().into_client_request()?;
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&authorization).map_err(tungstenite::http::Error::from)?);
    // One value for each version, the earliest first: a server that knows the first alone looks at no other.
    for version in UplinkVersion::ALL {
        headers.append(HEADER, HeaderValue::from_static(version.text()));
    }
    if let Some(instance) = client.instance() {
        let value = HeaderValue::from_str(instance.as_str()).map_err(tungstenite::http::Error::from)?;
        headers.insert(instance::HEADER, value);
    }
    Ok(request)
}

/// Returns the version in which a server agrees to carry calls, if it does.
pub(super) fn granted(headers: &HeaderMap) -> Option<UplinkVersion> {
    UplinkVersion::latest(headers.get_all(HEADER).iter().map(HeaderValue::as_bytes))
}

/// Calls that were sent, with the channels of the callers that wait for the answers.
type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<(AnswerHead, Vec<u8>)>>>>;

/// Serves a connection until it ends: receives orders and answers, and sends calls.
pub(super) async fn serve(
    socket: Socket,
    version: UplinkVersion,
    client: &RestClient,
    receiver: &mut OrderReceiver,
) -> Result<(), ConnectionEnd> {
    let (uplink, calls) = Uplink::new(version);
    let (sink, stream) = socket.split();
    let waiting = Waiting::default();
    client.set_uplink(Some(uplink));
    // Bound to a name: `_` alone would drop the guard at once.
    let _gone = Gone(client);
    tokio::select! {
        ended = hear(stream, version, &waiting, client, receiver) => ended,
        ended = say(sink, version, calls, &waiting) => ended,
    }
}

/// Guard that makes calls go over HTTP again when it is dropped.
struct Gone<'a>(&'a RestClient);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.set_uplink(None);
    }
}

async fn hear(
    mut stream: SplitStream<Socket>,
    version: UplinkVersion,
    waiting: &Waiting,
    client: &RestClient,
    receiver: &mut OrderReceiver,
) -> Result<(), ConnectionEnd> {
    loop {
        let heard = tokio::time::timeout(SILENCE, stream.next()).await.map_err(|_| ConnectionEnd::Silent)?;
        let message = match heard {
            None | Some(Ok(Message::Close(_))) => return Ok(()),
            Some(Ok(Message::Text(text))) => tungstenite::Bytes::from(text),
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Err(e)) => return Err(e.into()),
        };
        for message in messages_of(version, &message)? {
            hear_one(message, waiting, client, receiver);
        }
    }
}

/// Returns the messages in one of the WebSocket. A bundle that cannot be taken apart ends the connection: answers are
/// lost with it, and their callers must not wait for them.
fn messages_of(version: UplinkVersion, message: &[u8]) -> Result<Vec<&[u8]>, BadBundle> {
    match version {
        UplinkVersion::One => Ok(vec![message]),
        UplinkVersion::Two => unbundled(message),
    }
}

fn hear_one(message: &[u8], waiting: &Waiting, client: &RestClient, receiver: &mut OrderReceiver) {
    match uplink::said(message) {
        Ok(ServerFrame::Answer(answer, body)) => {
            let caller = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&answer.answer);
            // The caller may have given up meanwhile.
            if let Some(caller) = caller {
                let _ = caller.send((answer, body.to_vec()));
            }
        }
        Ok(ServerFrame::Order(order)) => receiver.receive(Ok(order), message),
        Ok(ServerFrame::Due(order, content)) => receiver.receive_with_run(client, order, content),
        Err(no_order) => receiver.receive(Err(no_order), message),
    }
}

/// Sends calls and pings. In version 2, calls that wait while the socket is busy go out together.
async fn say(
    mut sink: SplitSink<Socket, Message>,
    version: UplinkVersion,
    mut calls: Calls,
    waiting: &Waiting,
) -> Result<(), ConnectionEnd> {
    let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
    let mut number = 0;
    let mut encoded = |outgoing: Outgoing| {
        number += 1;
        encode(outgoing, number, waiting)
    };
    // A call that had no room in the last bundle begins the next one.
    let mut left_over = None;
    loop {
        let first = match left_over.take() {
            Some(message) => message,
            None => tokio::select! {
                outgoing = calls.next() => match outgoing {
                    Some(outgoing) => encoded(outgoing),
                    None => return Ok(()),
                },
                _ = ping.tick() => {
                    sink.send(Message::Ping(tungstenite::Bytes::new())).await?;
                    continue;
                }
            },
        };
        let mut bundle = Bundle::of(first, MAX_UP);
        while version == UplinkVersion::Two && bundle.has_room(0) && left_over.is_none() {
            let Some(outgoing) = calls.try_next() else { break };
            let message = encoded(outgoing);
            if bundle.has_room(message.len()) {
                bundle.push(message);
            } else {
                left_over = Some(message);
            }
        }
        sink.send(Message::binary(bundle.encode())).await?;
    }
}

/// Encodes a call under a number, and registers its caller.
fn encode(mut outgoing: Outgoing, number: u64, waiting: &Waiting) -> Vec<u8> {
    outgoing.call.call = number;
    // Registered before it is sent, because the answer may arrive before `send` returns.
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    if waiting.len() >= UNANSWERED {
        waiting.retain(|_, caller| !caller.is_closed());
    }
    waiting.insert(number, outgoing.answer);
    drop(waiting);
    uplink::message(&outgoing.call, &outgoing.body)
}
