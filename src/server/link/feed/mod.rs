//! The feed: sends each change over WebSockets, to browsers at `/events`, and to clients of the original at an address of its own.
//!
//! One task, `fan_out`, subscribes to the change feed, encodes each change once as text and queues it for every listener; it waits for
//! none of them. Each listener has a task that sends what is in its queue, so a slow one delays itself alone: its queue is bounded, it
//! receives a notice that changes were missed, and is disconnected in the end.

mod fan_out;
pub mod handle;
mod listener;
mod listeners;
pub mod original;
mod queue;
pub(in crate::server) mod upgrade;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;

use crate::server::http::connections;
use crate::server::state::AppState;
pub use fan_out::work;
use listeners::Language;
use upgrade::{Origins, UpgradeRefusal};

/// Routes of the feed for the server's main port.
pub fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/events", any(events))
}

/// Serves `/events` to the operator's token, and to browsers with a session.
async fn events(State(app): State<Arc<AppState>>, request: Request) -> Response {
    let headers = request.headers();
    let origins = Origins { allowed: &app.settings.allowed_origins, any_port: false };
    let checked = upgrade::check(request.method(), headers)
        .and_then(|()| origins.check(headers))
        .and_then(|()| app.reader(headers).ok_or(UpgradeRefusal::Unknown));
    match checked {
        Ok(reader) => {
            connections::mark_known(request.extensions());
            listener::welcome(&app, request, Language::Ours, Some(reader)).await
        }
        Err(refusal) => refusal.answer(),
    }
}
