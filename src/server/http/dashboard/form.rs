//! Access to the dashboard: the one guard in front of all its views, and the forms that it lets through.
//!
//! Reading takes the cookie of a session or the operator's token. Acting takes a form that a page of this server has
//! made for that session, sent from a page of this server. The guard reads the form, so a handler that takes a
//! [`Filled`] form has one that was checked.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use super::answer::PageRefusal;
use super::{login, return_path};
use crate::server::http::connections::{self, Unread};
use crate::server::http::shared::origin;
use crate::server::state::AppState;

#[cfg(test)]
mod tests;

/// The longest form, in bytes: a script with what belongs to it.
const MAX_FORM: usize = 4 * 1024 * 1024;
/// The most fields of a form: a pool with thousands of workers.
const MAX_FIELDS: usize = 20_000;
const FORM: &str = "application/x-www-form-urlencoded";

/// Fields of a submitted form, as names and values in the order in which they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filled(Vec<(String, String)>);

impl Filled {
    /// Value of a field, trimmed; `None` where it is empty or missing.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.all(name).next().map(str::trim).filter(|text| !text.is_empty())
    }

    /// Values of all fields with this name, as they were sent.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Value of a text area, untrimmed, with LF as its line ends; empty where the field is missing.
    pub(super) fn script(&self, name: &str) -> String {
        // HTML has browsers send CRLF for the line ends of a text area, and a shell would stumble over the CR.
        self.all(name).next().unwrap_or_default().replace("\r\n", "\n")
    }

    /// Whether a checkbox is ticked: browsers send only ticked ones.
    pub(super) fn ticked(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Values with which a form is shown before it is filled in.
    pub(super) fn of(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// Adds one field to the form.
    pub(super) fn with(mut self, name: &str, value: String) -> Self {
        self.0.push((name.to_owned(), value));
        self
    }

    /// All fields with their values, as they were sent.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn parse(body: &[u8]) -> Option<Self> {
        // One field more than allowed is enough to know that there are too many.
        let fields: Vec<_> = url::form_urlencoded::parse(body).into_owned().take(MAX_FIELDS + 1).collect();
        (fields.len() <= MAX_FIELDS).then_some(Self(fields))
    }
}

impl<S: Sync> FromRequestParts<S> for Filled {
    type Rejection = PageRefusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageRefusal> {
        // Only the guard inserts the form, so a route without the guard refuses everything.
        parts.extensions.remove::<Self>().ok_or(PageRefusal::Stranger)
    }
}

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
        Ok((_, form)) if !form.text("form_token").is_some_and(|said| session.is_form_token(&app.token, said)) => {
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

/// Reads a form of at most `most` bytes that a page of this server has sent; the returned request has no body any more.
pub(super) async fn read(request: Request, most: usize) -> Result<(Request, Filled), PageRefusal> {
    if !origin::is_ours(request.headers()) {
        return Err(PageRefusal::Stranger);
    }
    if !is_form(request.headers()) {
        return Err(PageRefusal::Malformed("that is no form".to_owned()));
    }
    let too_much = || PageRefusal::TooLong(format!("a form has at most {most} bytes and {MAX_FIELDS} fields"));
    let (parts, body) = request.into_parts();
    let body = connections::read_body(body, most).await.map_err(|unread| match unread {
        Unread::TooLong => too_much(),
        Unread::TooSlow => PageRefusal::TooSlow,
    })?;
    let form = Filled::parse(&body).ok_or_else(too_much)?;
    Ok((Request::from_parts(parts, Body::empty()), form))
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
}
