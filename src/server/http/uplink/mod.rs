//! Uplinks: WebSocket connections of workers that connect out. The server sends orders, the worker sends calls.
//!
//! The worker signs the upgrade, with a timestamp and a nonce that is used once; its messages from then on count as
//! signed and are answered as over HTTP, by the same code.

mod connections;
mod conversation;
mod orders;
mod session;

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderName, HeaderValue, ORIGIN};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Json, Router};
use chrono::Utc;
use tokio::sync::Semaphore;

use crate::run::{Instance, chain_of};
use crate::server::domain::model::Worker;
use crate::server::http::connections::{HttpPeer, address_of, mark_known};
use crate::server::identity::auth::{ClaimedIdentity, Identity, Signed};
use crate::server::identity::instances;
use crate::server::link::feed::upgrade::{self, UpgradeRefusal};
use crate::server::state::AppState;
use crate::server::store::StoreError;
use crate::wire::instance::{HEADER as INSTANCE, OCCUPIED};
use crate::wire::uplink::{self, HEADER, MAX_HEAD, MAX_SKEW, UplinkVersion};
use connections::Uplinks;
use conversation::Caller;

/// Maximum number of connections of all workers.
const WORKERS: usize = 10_000;
/// Size of a connection's read buffer in bytes; it grows with a message.
const READ: usize = 4 * 1024;

/// Bounds on connections: places for all, and the connections of each worker.
#[derive(Clone)]
struct Admission {
    slots: Arc<Semaphore>,
    uplinks: Uplinks,
}

/// Returns the route at which workers connect.
pub fn routes() -> Router<Arc<AppState>> {
    let admission = Admission { slots: Arc::new(Semaphore::new(WORKERS)), uplinks: Uplinks::default() };
    Router::new().route("/worker", any(connect)).layer(Extension(admission))
}

async fn connect(
    State(app): State<Arc<AppState>>,
    Extension(admission): Extension<Admission>,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    let (worker, instance) = match admit(&app, &parts).await {
        Ok(admitted) => admitted,
        Err(answer) => return answer,
    };
    mark_known(&parts.extensions);
    let peer = parts.extensions.get::<HttpPeer>().cloned();
    let Ok(slot) = admission.slots.try_acquire_owned() else { return UpgradeRefusal::Full.answer() };
    let version = UplinkVersion::latest(parts.headers.get_all(HEADER).iter().map(HeaderValue::as_bytes));
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let longest = app.settings.max_body + MAX_HEAD;
    let mut response = upgrade.read_buffer_size(READ).max_message_size(longest).max_frame_size(longest).on_upgrade(
        async move |socket| {
            // The guard lives as long as the conversation and then leaves the table.
            let guard = admission.uplinks.join(worker.id);
            let caller = Caller { worker, instance, version };
            conversation::run(app, caller, socket, peer, guard.superseded()).await;
            drop(slot);
        },
    );
    if let Some(version) = version {
        response.headers_mut().insert(HeaderName::from_static(HEADER), HeaderValue::from_static(version.text()));
    }
    response
}

/// Verifies the upgrade and returns the worker that signed it and its instance, or the answer that refuses it.
async fn admit(app: &AppState, parts: &Parts) -> Result<(Box<Worker>, Option<Instance>), Response> {
    let (headers, uri) = (&parts.headers, &parts.uri);
    upgrade::check(&parts.method, headers).map_err(UpgradeRefusal::answer)?;
    // Browsers send this header and workers do not: no page may use a worker's uplink.
    if headers.contains_key(ORIGIN) {
        return Err(UpgradeRefusal::Foreign.answer());
    }
    let path_and_query = uri.path_and_query().map_or("/worker", |both| both.as_str());
    let signed = Signed { method: "GET", path_and_query, body: &[] };
    let stranger = || StatusCode::UNAUTHORIZED.into_response();
    let failed = |e: StoreError, worker: Option<&Worker>| {
        // The store has logged an outage already.
        if e.is_outage() {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        tracing::error!(
            target: "job_runner.uplink",
            method = %parts.method,
            path = uri.path(),
            address = %address_of(&parts.extensions),
            worker = worker.map(|worker| tracing::field::display(&worker.api_key)),
            error = %chain_of(&e),
            "request failed"
        );
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    };
    let claim = ClaimedIdentity::read(app, headers).await.map_err(|e| failed(e, None))?;
    let Some(Identity::Worker(worker)) = claim.and_then(|claim| claim.verify(signed)) else { return Err(stranger()) };
    let Some((ts, nonce)) = uri.query().and_then(uplink::asked) else { return Err(stranger()) };
    let now = Utc::now().timestamp();
    if ts.abs_diff(now) > MAX_SKEW.unsigned_abs() {
        return Err(stranger());
    }
    // The nonce is checked last: only a caller who can sign uses up room for nonces. They are kept with the data, so
    // that a handshake that was overheard before a restart cannot be repeated after it, whatever the clocks say.
    let fresh = app.store.use_nonce(worker.id, nonce, now).await.map_err(|e| failed(e, Some(&worker)))?;
    if !fresh {
        return Err(stranger());
    }
    let Some(value) = headers.get(INSTANCE) else { return Ok((worker, None)) };
    let instance = value.to_str().ok().and_then(Instance::parse);
    let instance = instance.ok_or_else(|| StatusCode::BAD_REQUEST.into_response())?;
    let (is_lost, from) = (app.silent_workers.is_silent(worker.id), address_of(&parts.extensions));
    let admitted = instances::admit(&app.store, &app.instances, is_lost, &worker, &instance, from).await;
    match admitted.map_err(|e| failed(e, Some(&worker)))? {
        Ok(()) => Ok((worker, Some(instance))),
        Err(refusal) => {
            let occupied = StatusCode::from_u16(OCCUPIED).unwrap_or(StatusCode::CONFLICT);
            Err((occupied, Json(serde_json::json!({"error": refusal}))).into_response())
        }
    }
}
