//! Refuses requests under a name that is not the server's own, so that no page of another site can reach a server on
//! loopback by pointing a name of its own at 127.0.0.1 (DNS rebinding).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::host;
use crate::server::settings::Settings;
use crate::server::state::AppState;

/// Middleware: answers 421 to requests to a server on loopback whose `Host` is not one of its own names. A server on
/// any other address is reached under names that it cannot know, and accepts all.
pub async fn own_names_only(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    if is_ours(request.headers(), &app.settings) {
        return next.run(request).await;
    }
    let said = "This server is not known by that name; see host_names in its settings.\n";
    (StatusCode::MISDIRECTED_REQUEST, Body::from(said)).into_response()
}

/// Whether a `Host` names this machine or is one of the `host_names` in the settings.
#[must_use]
pub fn is_own_name(host: &str, settings: &Settings) -> bool {
    host::is_ours(host, &settings.host_names)
}

fn is_ours(headers: &HeaderMap, settings: &Settings) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    !settings.http.ip().is_loopback() || host.is_some_and(|host| host::is_ours(host, &settings.host_names))
}
