//! The original's WebSocket server, at an address of its own: sends every event to every listener.
//!
//! The original's clients do not authenticate, so the server offers this address only where the settings ask for it. A
//! browser that a foreign page leads here is refused all the same.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

use super::listener;
use super::listeners::Language;
use super::upgrade::{self, Origins, UpgradeRefusal};
use crate::server::http::connections;
use crate::server::http::shared::own_names::is_own_name;
use crate::server::state::AppState;

/// Binds an address and returns it with its actual port.
///
/// # Errors
/// If the address cannot be bound.
pub async fn bind(at: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(at).await?;
    let at = listener.local_addr()?;
    Ok((listener, at))
}

/// Serves listeners until the server stops.
pub async fn serve(app: Arc<AppState>, listener: TcpListener) {
    let (stop, grace) = (app.stop.clone(), app.settings.stop_grace);
    let places = connections::Connections::new(app.settings.websocket_limits());
    // Connections here have bounds of their own, so that unknown clients take no places from the main port.
    connections::serve(listener, Router::new().fallback(listen).with_state(app), places, stop, grace).await;
}

async fn listen(State(app): State<Arc<AppState>>, request: Request) -> Response {
    let headers = request.headers();
    let origins = Origins { allowed: &app.settings.allowed_origins, any_port: true };
    let checked = upgrade::check(request.method(), headers)
        .and_then(|()| own_name(&app, headers))
        .and_then(|()| origins.check(headers));
    match checked {
        Ok(()) => listener::welcome(&app, request, Language::Original, None).await,
        Err(UpgradeRefusal::Plain) => (StatusCode::BAD_REQUEST, "WebSocket connection is expected.").into_response(),
        Err(refusal) => refusal.answer(),
    }
}

/// Refuses a host name that is not this machine's, which a foreign site may have pointed here. On loopback no client
/// has a reason to use another name; elsewhere only browsers can be led here by one.
fn own_name(app: &AppState, headers: &HeaderMap) -> Result<(), UpgradeRefusal> {
    let settings = &app.settings;
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_loopback = settings.websocket.is_some_and(|at| at.ip().is_loopback());
    let may_be_led = is_loopback || headers.contains_key(ORIGIN);
    let is_welcome = !may_be_led || is_own_name(host, settings) || !is_loopback && upgrade::is_address(host);
    if is_welcome { Ok(()) } else { Err(UpgradeRefusal::OtherName) }
}
