//! Access to the dashboard: the one guard in front of all its views.
//!
//! Reading takes the cookie of a session or the operator's token. Acting takes a form that a page of this server has
//! made for that session, sent from a page of this server. The guard reads the form, so a handler that takes a
//! [`FormValues`](super::form::FormValues) form has one that was checked.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use super::form::read;
use super::refusal::PageRefusal;
use super::{login, return_path};
use crate::server::http::connections;
use crate::server::state::AppState;

/// The longest form, in bytes: a script with what belongs to it.
const MAX_FORM: usize = 4 * 1024 * 1024;

/// Middleware: lets reads of logged-in browsers and operators pass, and actions whose form carries the token of their
/// session. Reads from outside get the login page.
pub(super) async fn guard(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        let inside = app.admits_reader(request.headers());
        if inside {
            connections::mark_known(request.extensions());
            return next.run(request).await;
        }
        return outside(&request);
    }
    // The session comes first, so that a stranger cannot have the server read megabytes.
    let Some(session) = app.session(request.headers()) else { return outside(&request) };
    connections::mark_known(request.extensions());
    match read(request, MAX_FORM).await {
        Ok((_, form)) if !form.text("form_token").is_some_and(|token| session.is_form_token(&app.token, token)) => {
            PageRefusal::Stranger.into_response()
        }
        Ok((mut request, form)) => {
            request.extensions_mut().insert(form);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

fn outside(request: &Request) -> Response {
    let next = return_path::back(request.method(), request.uri(), request.headers());
    (StatusCode::UNAUTHORIZED, Html(login::page(None, &next))).into_response()
}
