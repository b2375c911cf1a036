//! How a browser gets its cookie, and loses it.

use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::response::{Html, IntoResponse, Response};
use chrono::Utc;
use minijinja::context;
use serde::Deserialize;

use super::answer::Refusal;
use super::template::fill;
use super::{form, frame};
use crate::server::office::Office;
use crate::server::session::{LASTS, Session, cookie_name};

#[cfg(test)]
mod tests;

/// The longest form of somebody who has not logged in, in bytes: a token, and room for what a browser adds.
const MAX_LOGIN: usize = 4096;

/// What an address says that logs in.
#[derive(Debug, Deserialize)]
pub(super) struct Address {
    token: Option<String>,
}

/// The form; or an address with the token in it, which leads on to where the address tells nothing any more.
pub(super) async fn ask(State(office): State<Arc<Office>>, Query(address): Query<Address>) -> Response {
    match address.token.filter(|token| !token.is_empty()) {
        Some(token) => enter(&office, &token),
        None => (StatusCode::UNAUTHORIZED, Html(page(false))).into_response(),
    }
}

/// The form is sent.
pub(super) async fn log_in(State(office): State<Arc<Office>>, request: Request) -> Result<Response, Refusal> {
    let (_, form) = form::read(request, MAX_LOGIN).await?;
    Ok(enter(&office, form.text("token").unwrap_or_default()))
}

/// The cookie is taken away.
pub(super) async fn log_out(State(office): State<Arc<Office>>) -> Response {
    let gone = format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict", cookie_name(office.settings.http.port()));
    (StatusCode::SEE_OTHER, [(SET_COOKIE, gone), (LOCATION, "/login".to_owned())]).into_response()
}

fn enter(office: &Office, token: &str) -> Response {
    if !office.token.is(token.trim()) {
        return (StatusCode::UNAUTHORIZED, Html(page(true))).into_response();
    }
    let cookie = match Session::begin(&office.token, Utc::now()) {
        Ok((_, cookie)) => cookie,
        Err(e) => {
            tracing::error!(target: "job_runner.page", "nothing random can be had: {e}");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let (name, seconds) = (cookie_name(office.settings.http.port()), LASTS.num_seconds());
    let cookie = format!("{name}={cookie}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict");
    (StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, "/".to_owned())]).into_response()
}

/// The page for who has not logged in.
pub(super) fn page(wrong: bool) -> String {
    frame::bare("Log in", &fill("login", context!(wrong)))
}
