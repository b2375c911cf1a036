//! For workers that connect out: orders go down a WebSocket, calls come up it.
//!
//! Who connects signs the upgrade, with the time and a nonce that is used once; what it says from then on is said by that
//! worker and answered as over HTTP, by the same code.

mod conversation;
mod nonces;

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderName, HeaderValue, ORIGIN};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Router};
use chrono::Utc;
use tokio::sync::Semaphore;

use super::auth::{Claim, Identity, Signed};
use super::feed::upgrade::{self, Refusal};
use super::model::Worker;
use super::office::Office;
use crate::wire::uplink::{self, HEADER, MAX_HEAD, VERSION};
use nonces::Nonces;

/// How many workers may be connected.
const WORKERS: usize = 10_000;
/// How much is read at once.
const READ: usize = 4 * 1024;

/// Who may come in.
#[derive(Clone)]
struct Doorkeeper {
    nonces: Arc<Mutex<Nonces>>,
    seats: Arc<Semaphore>,
}

/// What is served.
pub fn routes() -> Router<Arc<Office>> {
    let doorkeeper = Doorkeeper { nonces: Arc::default(), seats: Arc::new(Semaphore::new(WORKERS)) };
    Router::new().route("/worker", any(connect)).layer(Extension(doorkeeper))
}

async fn connect(
    State(office): State<Arc<Office>>,
    Extension(doorkeeper): Extension<Doorkeeper>,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    let worker = match admit(&office, &doorkeeper, &parts).await {
        Ok(worker) => worker,
        Err(answer) => return answer,
    };
    let Ok(seat) = doorkeeper.seats.try_acquire_owned() else { return Refusal::Full.answer() };
    let speaks = parts.headers.get(HEADER).is_some_and(|version| version.as_bytes() == VERSION.as_bytes());
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let longest = office.settings.max_body + MAX_HEAD;
    let mut response = upgrade.read_buffer_size(READ).max_message_size(longest).max_frame_size(longest).on_upgrade(
        async move |socket| {
            conversation::hold(office, worker, socket, speaks).await;
            drop(seat);
        },
    );
    if speaks {
        response.headers_mut().insert(HeaderName::from_static(HEADER), HeaderValue::from_static(VERSION));
    }
    response
}

/// The worker that signed; or the answer to somebody else.
async fn admit(office: &Office, doorkeeper: &Doorkeeper, parts: &Parts) -> Result<Box<Worker>, Response> {
    let (headers, uri) = (&parts.headers, &parts.uri);
    upgrade::check(&parts.method, headers).map_err(Refusal::answer)?;
    // No page has any business here.
    if headers.contains_key(ORIGIN) {
        return Err(Refusal::Foreign.answer());
    }
    let path_and_query = uri.path_and_query().map_or("/worker", |both| both.as_str());
    let signed = Signed { method: "GET", path_and_query, body: &[] };
    let stranger = || StatusCode::UNAUTHORIZED.into_response();
    let worker = match Claim::read(office, headers).await {
        Ok(claim) => match claim.and_then(|claim| claim.verify(signed)) {
            Some(Identity::Worker(worker)) => worker,
            Some(Identity::Operator) | None => return Err(stranger()),
        },
        Err(e) if e.is_outage() => return Err(StatusCode::SERVICE_UNAVAILABLE.into_response()),
        Err(e) => {
            tracing::error!(target: "job_runner.uplink", "{e}: {:?}", std::error::Error::source(&e));
            return Err(StatusCode::INTERNAL_SERVER_ERROR.into_response());
        }
    };
    // Looked at last: only who can sign uses up room for nonces.
    let fresh = uri.query().and_then(uplink::asked).is_some_and(|(ts, nonce)| {
        let mut nonces = doorkeeper.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.note(worker.id, nonce, ts, Utc::now().timestamp())
    });
    if fresh { Ok(worker) } else { Err(stranger()) }
}
