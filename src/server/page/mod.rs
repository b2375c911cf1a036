//! A plain live page: runs, how they stand, their logs as they grow.
//!
//! The server writes the HTML, everything in it escaped; one script fetches parts of it anew when `/events` says that
//! something has changed. A browser logs in once with the operator's token and gets a cookie that can read only. A
//! server on loopback answers to its own names alone, so that no page of another site can speak with it in disguise.

mod host;
mod login;
mod look;
mod view;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, body::Body};

use super::office::Office;
use super::settings::Settings;

/// Nothing but what is ours, nothing inline, in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("live.js");
const ICON: &str = include_str!("icon.svg");

/// What is served.
pub fn routes(office: &Arc<Office>) -> Router<Arc<Office>> {
    let pages = Router::new()
        .route("/", get(look::runs))
        .route("/runs/{run}", get(look::run))
        .route("/parts/runs", get(look::runs_part))
        .route("/parts/runs/{run}", get(look::run_part))
        .layer(middleware::from_fn_with_state(Arc::clone(office), login::readers_only));
    Router::new()
        .route("/login", get(login::login))
        .route("/static/style.css", get(async || still("text/css; charset=utf-8", STYLE)))
        .route("/static/live.js", get(async || still("text/javascript; charset=utf-8", SCRIPT)))
        .route("/static/icon.svg", get(async || still("image/svg+xml", ICON)))
        .merge(pages)
        .layer(middleware::from_fn(guarded))
        .layer(middleware::from_fn_with_state(Arc::clone(office), own_names_only))
}

/// What is the same for everybody until another version is installed.
fn still(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text).into_response()
}

/// Tells the browser what to keep to.
async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses what is asked of a server on loopback under a name that is not its own.
pub(super) async fn own_names_only(State(office): State<Arc<Office>>, request: Request, next: Next) -> Response {
    if is_ours(request.headers(), &office.settings) {
        return next.run(request).await;
    }
    let said = "This server is not known by that name; see host_names in its settings.\n";
    (StatusCode::MISDIRECTED_REQUEST, Body::from(said)).into_response()
}

fn is_ours(headers: &HeaderMap, settings: &Settings) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    !settings.http.ip().is_loopback() || host.is_some_and(|host| host::is_ours(host, &settings.host_names))
}
