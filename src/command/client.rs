//! HTTP client of the operator's API.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::exit::{CommandFailure, FAILURE, NO_PERMISSION, PROTOCOL, UNAVAILABLE};
use crate::server::identity::token::OperatorToken;
use crate::upstream::{is_loopback, tls_config};
use crate::wire::operator::{BASE, FollowLine, RequestRefusal};

/// Time that a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// Longest answer, and longest line of a stream, in bytes.
const MAX_BODY: usize = 128 * 1024 * 1024;

/// Client with the operator's token. Cheap to clone.
#[derive(Clone, Debug)]
pub struct OperatorClient {
    http: reqwest::Client,
    base: Url,
    token: OperatorToken,
}

impl OperatorClient {
    /// Creates a client for the server at `base`.
    pub fn new(base: Url, token: OperatorToken) -> Result<Self, CommandFailure> {
        let tls = tls_config(base.scheme() == "https", true, None).map_err(|e| CommandFailure::of(FAILURE, &e))?;
        let mut http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("job_runner/", env!("CARGO_PKG_VERSION")))
            // No redirects: the token goes to the address that was named and to no other.
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .connect_timeout(CONNECT)
            .tcp_nodelay(true);
        if is_loopback(&base) {
            // No proxy can reach an address of this machine's loopback.
            http = http.no_proxy();
        }
        let http = http.build().map_err(|e| CommandFailure::of(FAILURE, &e))?;
        Ok(Self { http, base, token })
    }

    /// Returns the address of the server.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Sends a GET request and decodes the JSON answer.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, CommandFailure> {
        let mut request = self.request(Method::GET, path)?.timeout(PATIENCE);
        if !query.is_empty() {
            request = request.query(query);
        }
        self.read(self.send(request).await?).await
    }

    /// Sends a GET request for a text and passes its pieces to `take` as they arrive, until `take` returns false.
    pub async fn text(&self, path: &[&str], mut take: impl FnMut(&[u8]) -> bool) -> Result<(), CommandFailure> {
        // No time limit for the whole: a long log takes as long as it takes, as long as each piece comes in time.
        let mut response = self.send(self.request(Method::GET, path)?).await?;
        let next = async |response: &mut Response| match tokio::time::timeout(PATIENCE, response.chunk()).await {
            Ok(chunk) => chunk.map_err(|e| unavailable(&self.base, &e)),
            Err(_) => Err(CommandFailure::new(UNAVAILABLE, format!("{} does not go on", self.base))),
        };
        while let Some(chunk) = next(&mut response).await? {
            if !take(&chunk) {
                break;
            }
        }
        Ok(())
    }

    /// Sends a POST request with a JSON body and decodes the JSON answer.
    pub async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, CommandFailure> {
        let body = serde_json::to_vec(body).map_err(|e| CommandFailure::of(FAILURE, &e))?;
        let request = self.request(Method::POST, path)?.timeout(PATIENCE);
        let request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
        self.read(self.send(request).await?).await
    }

    /// Opens the stream of a run's changes and log.
    pub async fn follow(&self, run: i64) -> Result<FollowedLines, CommandFailure> {
        // No time limit at all: a script may print nothing for hours.
        let response = self.send(self.request(Method::GET, &["runs", &run.to_string(), "follow"])?).await?;
        Ok(FollowedLines { response, buffer: Vec::new(), scanned: 0, base: self.base.clone() })
    }

    /// Creates a request below the operator's API.
    ///
    /// # Errors
    /// If a part of the path is empty, `.` or `..`, which in a URL lead elsewhere.
    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, CommandFailure> {
        if let Some(name) = path.iter().find(|part| matches!(**part, "" | "." | "..")) {
            return Err(CommandFailure::new(FAILURE, format!("there is no job {name:?}; name one by its id, like #5")));
        }
        let mut url = self.base.clone();
        url.set_path(&format!("{}{BASE}", url.path().trim_end_matches('/')));
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        Ok(self.http.request(method, url).bearer_auth(self.token.expose()))
    }

    // Sends a request and turns every answer but success into a failure with the matching exit code.
    async fn send(&self, request: RequestBuilder) -> Result<Response, CommandFailure> {
        let response = request.send().await.map_err(|e| unavailable(&self.base, &e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.read_body(response).await.unwrap_or_default();
        let reason = serde_json::from_slice::<RequestRefusal>(&body).map(|refused| refused.error);
        let base = &self.base;
        Err(match (status, reason) {
            (StatusCode::UNAUTHORIZED, _) => {
                CommandFailure::new(NO_PERMISSION, format!("{base} does not accept the token"))
            }
            // A refusal by the server is repeated in its own words; any other error counts as a server out of service.
            (status, Ok(reason)) if status.is_client_error() => CommandFailure::new(FAILURE, reason),
            (_, Ok(reason)) => CommandFailure::new(UNAVAILABLE, format!("{base}: {reason}")),
            (status, Err(_)) => {
                CommandFailure::new(PROTOCOL, format!("{base} answers with {status}: no Job-Runner server?"))
            }
        })
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, CommandFailure> {
        let body = self.read_body(response).await?;
        serde_json::from_slice(&body)
            .map_err(|e| CommandFailure::new(PROTOCOL, format!("{} does not answer as expected: {e}", self.base)))
    }

    async fn read_body(&self, mut response: Response) -> Result<Vec<u8>, CommandFailure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| unavailable(&self.base, &e))? {
            // Checked before the piece is kept, so that a wrong server cannot fill the memory.
            if body.len() + chunk.len() > MAX_BODY {
                return Err(CommandFailure::new(
                    PROTOCOL,
                    format!("{} answers with more than {MAX_BODY} bytes", self.base),
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// Stream of the lines of a run that is followed.
#[derive(Debug)]
pub struct FollowedLines {
    response: Response,
    buffer: Vec<u8>,
    /// Bytes at the beginning of the buffer that contain no line break.
    scanned: usize,
    base: Url,
}

impl FollowedLines {
    /// Returns the next line; `None` at the end of the stream. Cancel-safe: may be dropped and called again.
    pub async fn next(&mut self) -> Result<Option<FollowLine>, CommandFailure> {
        loop {
            if let Some(end) = self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(self.scanned + end + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                self.scanned = 0;
                return serde_json::from_slice(&line).map(Some).map_err(|e| {
                    CommandFailure::new(PROTOCOL, format!("{} does not answer as expected: {e}", self.base))
                });
            }
            self.scanned = self.buffer.len();
            if self.buffer.len() > MAX_BODY {
                return Err(CommandFailure::new(PROTOCOL, format!("{} sends a line that is too long", self.base)));
            }
            match self.response.chunk().await.map_err(|e| unavailable(&self.base, &e))? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}

fn unavailable(base: &Url, error: &reqwest::Error) -> CommandFailure {
    // The innermost cause says what happened; the outer ones repeat the URL.
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    CommandFailure::new(UNAVAILABLE, format!("{base} does not answer: {cause}"))
}
