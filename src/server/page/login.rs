//! Who may see pages: a browser that was given the cookie.

use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use super::view;
use crate::server::office::Office;
use crate::server::token::pages_cookie;

/// How long a browser stays logged in, in seconds: thirty days.
const LASTS: u32 = 30 * 24 * 3600;

/// What is said at the login.
#[derive(Debug, Deserialize)]
pub(super) struct Login {
    token: Option<String>,
}

/// Gives a cookie for the token, and leads on to where the address tells nothing any more.
pub(super) async fn login(State(office): State<Arc<Office>>, Query(login): Query<Login>) -> Response {
    let Some(token) = login.token.filter(|token| !token.is_empty()) else { return refused(false) };
    if !office.token.is(token.trim()) {
        return refused(true);
    }
    let (name, pass) = (pages_cookie(office.settings.http), office.token.pass());
    let cookie = format!("{name}={pass}; Path=/; Max-Age={LASTS}; HttpOnly; SameSite=Strict");
    (StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, "/".to_owned())]).into_response()
}

/// Lets those pass who have logged in.
pub(super) async fn readers_only(State(office): State<Arc<Office>>, request: Request, next: Next) -> Response {
    if office.admits_reader(request.headers()) { next.run(request).await } else { refused(false) }
}

fn refused(wrong: bool) -> Response {
    (StatusCode::UNAUTHORIZED, Html(view::login(wrong))).into_response()
}
