//! Access check of the operator API.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::refusal::OperatorRefusal;
use crate::server::http::connections;
use crate::server::state::AppState;

/// Lets operators pass; a browser that has logged in may only read. Marks the connection as known, so that it is not
/// among the first to be closed when connections run short.
pub(super) async fn operators_only(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let admitted = if request.method().is_safe() { app.admits_reader(headers) } else { app.token.admits(headers) };
    if !admitted {
        return OperatorRefusal::Stranger.into_response();
    }
    connections::mark_known(request.extensions());
    next.run(request).await
}
