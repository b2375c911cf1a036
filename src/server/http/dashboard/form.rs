//! Forms of the dashboard: reads what a browser sends within bounds and from a page of this server alone. A handler that takes a [`FormValues`] form
//! has one that the guard let through.

use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;

use super::refusal::PageRefusal;
use crate::server::http::connections::{self, Unread};
use crate::server::http::shared::origin;

#[cfg(test)]
mod tests;

/// The most fields of a form: a pool with thousands of workers.
const MAX_FIELDS: usize = 20_000;
const FORM: &str = "application/x-www-form-urlencoded";

/// Fields of a submitted form, as names and values in the order in which they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FormValues(Vec<(String, String)>);

impl FormValues {
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

impl<S: Sync> FromRequestParts<S> for FormValues {
    type Rejection = PageRefusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageRefusal> {
        // Only the guard inserts the form, so a route without the guard refuses everything.
        parts.extensions.remove::<Self>().ok_or(PageRefusal::Stranger)
    }
}

/// Reads a form of at most `most` bytes that a page of this server has sent; the returned request has no body any more.
pub(super) async fn read(request: Request, most: usize) -> Result<(Request, FormValues), PageRefusal> {
    if !origin::is_ours(request.headers()) {
        return Err(PageRefusal::Stranger);
    }
    if !is_form(request.headers()) {
        return Err(PageRefusal::Malformed("This is not a form.".to_owned()));
    }
    let too_much = || PageRefusal::TooLong(format!("a form has at most {most} bytes and {MAX_FIELDS} fields"));
    let (parts, body) = request.into_parts();
    let body = connections::read_body(body, most).await.map_err(|unread| match unread {
        Unread::TooLong => too_much(),
        Unread::TooSlow => PageRefusal::TooSlow,
    })?;
    let form = FormValues::parse(&body).ok_or_else(too_much)?;
    Ok((Request::from_parts(parts, Body::empty()), form))
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
}
