//! Rendering of answers as HTTP responses: format, and the headers that the original's clients and caches read.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, LOCATION, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::answer::{ApiAnswer, CallStage};
use super::content::ApiContent;
use super::filter::Pairs;
use super::format::{self, Format};
use crate::server::state::AppState;
use crate::server::store::rest_lists::Scope;
use crate::wire::action;
use crate::wire::resources::ATTEMPT;

const JSON: &str = "application/json";
const SCRIPT: &str = "text/javascript";
const PAGE: &str = "text/html; charset=utf-8";
/// Body of the original's answer to a browser that wants a page.
const NO_PAGE: &str = "Sorry, not implemented yet. Please append \"?format=json\" to your URL.";

/// Properties of a request that decide how its answer is rendered.
#[derive(Clone, Debug)]
pub struct RenderStyle {
    format: Result<Format, &'static str>,
    /// Whether the method is GET.
    reads: bool,
    /// Whether a script of a page asks, in which case the browser must not cache the answer.
    from_script: bool,
    host: Option<String>,
    /// Whether the caller is an operator.
    pub is_operator: bool,
}

impl RenderStyle {
    /// Reads the properties from a request.
    pub fn of(parts: &Parts, pairs: &Pairs) -> Self {
        let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            format: format::wanted(pairs, text(ACCEPT)),
            reads: parts.method == Method::GET,
            from_script: text(HeaderName::from_static("x-requested-with")) == Some("XMLHttpRequest"),
            host: text(HOST).map(str::to_owned),
            is_operator: false,
        }
    }

    /// Renders an answer as a response.
    pub fn render(&self, answer: ApiAnswer, app: &Arc<AppState>, scope: Scope) -> Response {
        let mut answer = self.formatted(answer);
        let content = answer.body.take();
        let (kind, body) = self.body(&answer, content, app, scope);
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        self.caching(&answer, headers);
        let location = answer.location.map(|path| self.absolute(&path));
        let attempt = answer.attempt.map(|attempt| attempt.to_string());
        let request = answer.request.map(action::text);
        let rest = [
            (LOCATION, location),
            (ALLOW, answer.allow),
            (HeaderName::from_static(ATTEMPT), attempt),
            (HeaderName::from_static(action::HEADER), request),
        ];
        for (name, value) in rest {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
        response
    }

    /// Returns the answer, or an error in its place where its format cannot be made.
    fn formatted(&self, answer: ApiAnswer) -> ApiAnswer {
        match (&self.format, answer.stage, &answer.body) {
            (Err(wrong), CallStage::Given, Some(_)) => ApiAnswer::bad(wrong),
            // The original fails in this way, too: it offers formats that it cannot make.
            (Ok(Format::Unmade), CallStage::Given | CallStage::Door, Some(_)) => {
                ApiAnswer { status: 500, body: None, ..ApiAnswer::unauthorised() }
            }
            _ => answer,
        }
    }

    fn body(
        &self,
        answer: &ApiAnswer,
        content: Option<ApiContent>,
        app: &Arc<AppState>,
        scope: Scope,
    ) -> (&'static str, Body) {
        let Some(content) = content else {
            // The answer to OPTIONS has the methods as its body as well, as in the original.
            return (PAGE, Body::from(answer.allow.clone().unwrap_or_default()));
        };
        match (&self.format, answer.stage) {
            (Ok(Format::Page), _) => (PAGE, Body::from(NO_PAGE)),
            (Ok(Format::Script(function)), CallStage::Given) => {
                let ends = |text: String| stream::iter([Ok(Bytes::from(text))]);
                let parts = content.parts(Arc::clone(app), scope).map_ok(|part| scripted(&part));
                (SCRIPT, Body::from_stream(ends(format!("{function}(")).chain(parts).chain(ends(")".to_owned()))))
            }
            _ => match content.text_in_memory() {
                Some(text) => (JSON, Body::from(text)),
                None => (JSON, Body::from_stream(content.parts(Arc::clone(app), scope))),
            },
        }
    }

    fn caching(&self, answer: &ApiAnswer, headers: &mut HeaderMap) {
        // Only the headers of a worker's signed change depend on no cookie.
        let by_cookie = self.reads || self.is_operator;
        let vary = match (answer.stage, by_cookie) {
            (CallStage::Door, _) | (CallStage::Refused, false) => None,
            (CallStage::Refused, true) => Some("Cookie"),
            (CallStage::Given, false) => Some("Accept"),
            (CallStage::Given, true) => Some("Accept, Cookie"),
        };
        if let Some(vary) = vary {
            headers.insert(VARY, HeaderValue::from_static(vary));
        }
        if answer.stage == CallStage::Given && (self.from_script || self.reads && answer.status == 200) {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
    }

    fn absolute(&self, path: &str) -> String {
        self.host.as_ref().map_or_else(|| path.to_owned(), |host| format!("http://{host}{path}"))
    }
}

/// Escapes the two characters that JSON allows in strings and JavaScript takes for ends of lines.
fn scripted(part: &Bytes) -> Bytes {
    let text = String::from_utf8_lossy(part).replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    Bytes::from(text)
}
