//! The original's WebSocket server, at an address of its own: every event to everybody who listens.
//!
//! It knows no identities, and neither do its clients, so this is there when it is asked for only. What a browser is
//! led to by a page of somebody else is refused all the same.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use super::listener;
use super::listeners::Language;
use super::upgrade::{self, Origins, Refusal};
use crate::server::office::Office;

/// Takes an address, and tells which it is.
///
/// # Errors
/// Why it cannot be had.
pub async fn bind(at: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(at).await?;
    let at = listener.local_addr()?;
    Ok((listener, at))
}

/// Serves until the server stops.
pub async fn serve(office: Arc<Office>, listener: TcpListener) {
    let stopped = office.stop.clone().cancelled_owned();
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let routes = Router::new().fallback(listen).with_state(office);
    let _ = axum::serve(listener, routes).with_graceful_shutdown(stopped).await;
}

async fn listen(State(office): State<Arc<Office>>, request: Request) -> Response {
    let headers = request.headers();
    let origins = Origins { allowed: &office.settings.allowed_origins, any_port: true };
    match upgrade::check(request.method(), headers).and_then(|()| origins.check(headers)) {
        Ok(()) => listener::welcome(&office, request, Language::Original).await,
        Err(Refusal::Plain) => (StatusCode::BAD_REQUEST, "WebSocket connection is expected.").into_response(),
        Err(refusal) => refusal.answer(),
    }
}
