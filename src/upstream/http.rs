//! HTTP transport: one request to the configured origin and its answer, each tried once and bounded in time and size.

use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use url::Url;

use super::failure::{CallFailure, retry_after};
use super::loopback::is_loopback;
use super::tls::{self, TlsError};

/// Longest time in which a connection is made; a shorter time-out of the calls shortens it.
const CONNECT: Duration = Duration::from_secs(5);
/// Time that an unused connection is kept: servers commonly close theirs after a minute.
const IDLE: Duration = Duration::from_secs(55);

/// Reason why a client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The TLS configuration cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up")]
    Http(#[from] reqwest::Error),
}

/// Settings under which connections are made.
pub(super) struct HttpSettings<'a> {
    /// Scheme, host and port of the service. Paths are joined to it as `urljoin` does.
    pub(super) base_url: &'a Url,
    /// Whether certificates are verified; `false` accepts any certificate.
    pub(super) tls_verify: bool,
    /// PEM file with trust roots in addition to the system's.
    pub(super) ca_file: Option<&'a Path>,
    /// Longest time that a call may take without progress on its answer.
    pub(super) timeout: Duration,
    /// Name and version of this program, as the service sees them.
    pub(super) user_agent: &'static str,
}

/// Kept-alive connections to one origin.
#[derive(Debug)]
pub(super) struct HttpConnections {
    client: Client,
    base_url: Url,
    timeout: Duration,
}

impl HttpConnections {
    pub(super) fn new(settings: &HttpSettings<'_>) -> Result<Self, ClientError> {
        let is_https = settings.base_url.scheme() == "https";
        let mut client = Client::builder()
            .tls_backend_preconfigured(tls::config(is_https, settings.tls_verify, settings.ca_file)?)
            .user_agent(settings.user_agent)
            // Redirects are left to the caller, who checks the origin and signs the new path.
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .connect_timeout(settings.timeout.min(CONNECT))
            .read_timeout(settings.timeout)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true);
        if is_loopback(settings.base_url) {
            // A proxy cannot reach a server that listens on this machine only.
            client = client.no_proxy();
        }
        Ok(Self { client: client.build()?, base_url: settings.base_url.clone(), timeout: settings.timeout })
    }

    /// Returns the longest duration of a call with such a body: twice the time-out, and one second for each 100 kB.
    pub(super) fn patience(&self, bytes: usize) -> Duration {
        self.timeout * 2 + Duration::from_secs(bytes as u64 / 100_000)
    }

    /// Joins a path to the base URL as `urljoin` does, and refuses another origin.
    pub(super) fn url(&self, path: &str) -> Result<Url, CallFailure> {
        let url = self.base_url.join(path).map_err(|_| CallFailure::Elsewhere(path.to_owned()))?;
        if url.origin() != self.base_url.origin() {
            return Err(CallFailure::Elsewhere(path.to_owned()));
        }
        Ok(url)
    }

    /// Begins a request with its body and its time-out; headers are the caller's.
    pub(super) fn request(&self, method: Method, url: Url, body: Vec<u8>) -> RequestBuilder {
        self.client.request(method, url).timeout(self.patience(body.len())).body(body)
    }
}

/// Sends a request and returns the head of its answer, whatever its status.
pub(super) async fn send(request: RequestBuilder) -> Result<Response, CallFailure> {
    request.send().await.map_err(|e| from_transport(&e))
}

/// Returns the part of a URL that is signed and sent in the request line.
pub(super) fn path_and_query(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

fn from_transport(e: &reqwest::Error) -> CallFailure {
    // The text of a `reqwest` error leaves out its causes, which name what is wrong.
    let mut text = e.to_string();
    let mut cause = std::error::Error::source(e);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    // The words of rustls, which reqwest passes on as text only.
    if text.contains("invalid peer certificate") {
        text.push_str(" (ca_file names more authorities to trust)");
    }
    // Both come before anything is sent, so the call was certainly not carried out.
    if e.is_connect() || e.is_builder() { CallFailure::Unreachable(text) } else { CallFailure::NoAnswer(text) }
}

/// Classifies a status; success and redirection are no failure.
pub(super) fn refusal(status: StatusCode, after: Option<&str>) -> Result<(), CallFailure> {
    match status.as_u16() {
        200..=399 => Ok(()),
        401 | 403 => Err(CallFailure::Unauthorised(status.as_u16())),
        404 | 410 => Err(CallFailure::NotFound),
        409 => Err(CallFailure::Conflict),
        413 => Err(CallFailure::TooLarge),
        // 408 and 425 ask for the same request once more, as 429 and 5xx do.
        status @ (408 | 425 | 429 | 500..) => Err(CallFailure::Server {
            status,
            retry_after: after.and_then(|value| retry_after(value, chrono::Utc::now())),
        }),
        status => Err(CallFailure::Rejected(status)),
    }
}

/// Checks that the answer to a write is empty or JSON. A web page comes from a captive portal or a proxy in between,
/// and the write was not carried out.
pub(super) async fn no_page(mut response: Response) -> Result<(), CallFailure> {
    while let Some(chunk) = response.chunk().await.map_err(|e| from_transport(&e))? {
        match chunk.trim_ascii_start().first() {
            None => {}
            // One byte decides: JSON never begins with it, and a web page always does.
            Some(b'<') => return Err(CallFailure::Nonsense("a web page".to_owned())),
            Some(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Reads a body of at most `most` bytes.
pub(super) async fn read(mut response: Response, most: usize) -> Result<Vec<u8>, CallFailure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| from_transport(&e))? {
        if body.len() + chunk.len() > most {
            return Err(CallFailure::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
