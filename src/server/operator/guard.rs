//! Who may ask.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::answer::Refusal;
use crate::server::http;
use crate::server::office::Office;

/// Lets operators pass; a browser that has logged in may read.
pub(super) async fn operators_only(State(office): State<Arc<Office>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let admitted =
        if request.method().is_safe() { office.admits_reader(headers) } else { office.token.admits(headers) };
    if !admitted {
        return Refusal::Stranger.into_response();
    }
    http::mark_known(request.extensions());
    next.run(request).await
}
