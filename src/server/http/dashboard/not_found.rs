//! Addresses without a page: answers with a page that says so and leads back.

use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::refusal::PageRefusal;
use super::{plain_page, return_path};

/// Path prefixes that programs ask for; they get a bare 404 instead of a page.
const OF_PROGRAMS: [&str; 4] = ["/api/", "/operator/", "/parts/", "/static/"];

/// Fallback for addresses without a route. An address with superfluous slashes at its end redirects to the one without.
pub(super) async fn fallback(uri: Uri) -> Response {
    let path = uri.path();
    if OF_PROGRAMS.iter().any(|start| path.starts_with(start)) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let short = path.trim_end_matches('/');
    if short.len() < path.len() {
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        // Only a safe path on this server is redirected to: `//host/` without its last slash would lead to another
        // site.
        let address = format!("{short}{query}");
        if return_path::own(&address) == address {
            return Redirect::permanent(&address).into_response();
        }
    }
    PageRefusal::NotFound("There is no such page.".to_owned()).into_response()
}

/// Middleware: turns client errors without a page into one, such as those for letters in place of a number, or for the
/// address of a form that is opened by hand.
pub(super) async fn as_page(request: Request, next: Next) -> Response {
    let is_part = request.uri().path().starts_with("/parts/");
    let response = next.run(request).await;
    let kind = response.headers().get(CONTENT_TYPE);
    let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !response.status().is_client_error() || is_page || is_part {
        return response;
    }
    let text = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => "This address belongs to a form and has no page of its own.",
        _ => "There is no such page.",
    };
    let (mut head, _) = response.into_parts();
    // The new body has another length, and hyper would send the old one.
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Response::from_parts(head, plain_page::message(text).into())
}
