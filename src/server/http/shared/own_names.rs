//! Refuses requests under a name that is not the server's own, so that no page of another site can speak with a server on
//! loopback in disguise.

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

/// Refuses what is asked of a server on loopback under a name that is not its own.
pub async fn own_names_only(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    if is_ours(request.headers(), &app.settings) {
        return next.run(request).await;
    }
    let said = "This server is not known by that name; see host_names in its settings.\n";
    (StatusCode::MISDIRECTED_REQUEST, Body::from(said)).into_response()
}

/// Whether the `Host` of a request is this machine, or a name that the settings give it.
#[must_use]
pub fn is_own_name(host: &str, settings: &Settings) -> bool {
    host::is_ours(host, &settings.host_names)
}

fn is_ours(headers: &HeaderMap, settings: &Settings) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    !settings.http.ip().is_loopback() || host.is_some_and(|host| host::is_ours(host, &settings.host_names))
}
