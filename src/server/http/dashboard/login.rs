//! Login and logout: exchange the operator's token for the cookie of a session, and end that session.

use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::http::header::{LOCATION, RETRY_AFTER, SET_COOKIE};
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use chrono::Utc;
use minijinja::context;
use serde::Deserialize;

use super::form::FormValues;
use super::refusal::PageRefusal;
use super::template::fill;
use super::visit::SignedIn;
use super::{form, plain_page, return_path};
use crate::run::chain_of;
use crate::server::http::shared::wrong_tokens;
use crate::server::identity::session::{LASTS, Session, cookie_name};
use crate::server::identity::wrong_token_limits::TokenVerdict;
use crate::server::peers::PeerMessage;
use crate::server::state::AppState;

#[cfg(test)]
mod tests;

/// The longest body of a login form, in bytes: a token, and room for what a browser adds.
const MAX_LOGIN: usize = 4096;

/// Message of the login page after a wrong token.
const WRONG: &str = "That is not the operator's token.";

/// Query of the login page.
#[derive(Debug, Deserialize)]
pub(super) struct Address {
    token: Option<String>,
    next: Option<String>,
}

/// Handler of `GET /login`: shows the form. An address with the token in it logs in at once and redirects, so that the
/// token does not stay in the address bar.
pub(super) async fn ask(
    State(app): State<Arc<AppState>>,
    Query(address): Query<Address>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    let next = address.next.as_deref().map_or(return_path::FRONT, return_path::own);
    match address.token.filter(|token| !token.is_empty()) {
        Some(token) => enter(&app, &token, next, is_over_tls(&headers), &extensions).await,
        None => (StatusCode::UNAUTHORIZED, Html(page(None, next))).into_response(),
    }
}

/// Handler of `POST /login`: logs in with the token of the form.
pub(super) async fn log_in(State(app): State<Arc<AppState>>, request: Request) -> Result<Response, PageRefusal> {
    let (request, form) = form::read(request, MAX_LOGIN).await?;
    let next = return_path::own(form.text("next").unwrap_or_default());
    let (token, is_over_tls) = (form.text("token").unwrap_or_default(), is_over_tls(request.headers()));
    Ok(enter(&app, token, next, is_over_tls, request.extensions()).await)
}

/// Handler of `POST /logout`: ends the session here and deletes its cookie. From then on every copy of the cookie is
/// refused, also after a restart.
pub(super) async fn log_out(
    State(app): State<Arc<AppState>>,
    SignedIn(session): SignedIn,
    _: FormValues,
) -> Result<Response, PageRefusal> {
    // The session ends in the store first: a cookie that the browser keeps all the same is worth nothing then.
    app.logouts.end(&app.store, &session, Utc::now()).await?;
    app.peers.send(&PeerMessage::LoggedOut);
    let gone = format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict", cookie_name(app.settings.http.port()));
    Ok((StatusCode::SEE_OTHER, [(SET_COOKIE, gone), (LOCATION, "/login".to_owned())]).into_response())
}

/// Whether the browser speaks TLS with this server or with a proxy before it: the origin of a form says so, and proxies
/// say so. A client that lies makes only its own cookie less useful, so either is believed.
fn is_over_tls(headers: &HeaderMap) -> bool {
    let says = |name: &str, what: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // `get` instead of slicing: the value may be shorter, or be cut in the middle of a character.
        value.get(..what.len()).is_some_and(|start| start.eq_ignore_ascii_case(what))
    };
    says("origin", "https://") || says("x-forwarded-proto", "https")
}

async fn enter(app: &AppState, token: &str, next: &str, is_over_tls: bool, extensions: &Extensions) -> Response {
    match wrong_tokens::check(app, token.trim(), extensions).await {
        TokenVerdict::Right => {}
        TokenVerdict::Wrong => return (StatusCode::UNAUTHORIZED, Html(page(Some(WRONG), next))).into_response(),
        TokenVerdict::TooMany(many) => {
            let html = page(Some(&format!("{WRONG} Too many wrong ones came from here: wait a little.")), next);
            return (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, many.seconds())], Html(html)).into_response();
        }
    }
    let cookie = match Session::begin(&app.token, Utc::now()) {
        Ok((_, cookie)) => cookie,
        Err(e) => {
            tracing::error!(target: "job_runner.page", error = %chain_of(&e), "random bytes cannot be read; no session was begun");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    // The name contains the port, because browsers keep the cookies of all ports of a host together.
    let (name, seconds) = (cookie_name(app.settings.http.port()), LASTS.num_seconds());
    let secure = if is_over_tls { "; Secure" } else { "" };
    let cookie = format!("{name}={cookie}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    (StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, next.to_owned())]).into_response()
}

/// Renders the login page, with the message about a failed attempt and the path to go to after the login.
pub(super) fn page(wrong: Option<&str>, next: &str) -> String {
    plain_page::plain_page("Log in", &fill("login", context!(wrong, next)))
}
