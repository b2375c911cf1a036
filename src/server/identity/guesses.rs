//! Wrong tokens: slows down the answers to an address that sends many of them.
//!
//! A right token is let in at once, whatever came from other addresses; and from its own address too, unless too many
//! wrong ones are waiting there for their answers. So neither a stranger nor an old token in a script behind the same
//! proxy shuts anybody out. The memory of addresses is bounded, and quiet ones are forgotten.

mod table;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{Extensions, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::token;
use crate::server::http::connections::{self, Source};
use crate::server::state::AppState;
use crate::wire::operator::RequestRefusal;
use table::GuessTable;

/// Least time between two log messages about slowed answers.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Wrong tokens of each address, shared by all requests.
#[derive(Debug, Default)]
pub struct Guesses(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    table: GuessTable,
    said: Option<Instant>,
}

/// Result of the check of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenVerdict {
    /// The token is the operator's.
    Right,
    /// The token is not the operator's.
    Wrong,
    /// Too many wrong tokens came from the address; the token was wrong, or not looked at.
    TooMany(TooMany),
}

/// Too many wrong tokens came from an address; the time after which to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many wrong tokens came from this address; try again in {} s", .0.as_secs())]
pub struct TooMany(Duration);

impl TooMany {
    /// Seconds after which the next token is answered sooner.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0.as_secs()
    }
}

impl AppState {
    /// Checks a token, and delays the answer where too many were wrong.
    pub async fn look_at_token(&self, said: &str, extensions: &Extensions) -> TokenVerdict {
        let wait = match self.guesses.look(connections::address_of(extensions), || self.token.is(said)) {
            Ok(worth) => return worth,
            Err(wait) => wait,
        };
        // The wait ends when the server stops.
        let _ = self.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        // `Retry-After` counts whole seconds, and 0 would invite the next try at once.
        TokenVerdict::TooMany(TooMany(wait.max(Duration::from_secs(1))))
    }
}

impl Guesses {
    /// Checks a token; the error is the delay before the answer that there were too many.
    fn look(&self, address: IpAddr, is_right: impl FnOnce() -> bool) -> Result<TokenVerdict, Duration> {
        let (source, now) = (Source::of(address), Instant::now());
        let mut known = self.known();
        // No token is looked at meanwhile: a guesser could otherwise try tokens as fast as it can open connections.
        if known.table.is_full(source, now) {
            return Err(Duration::ZERO);
        }
        if is_right() {
            return Ok(TokenVerdict::Right);
        }
        let wait = known.table.wrong(source, now);
        if wait.is_zero() {
            return Ok(TokenVerdict::Wrong);
        }
        if known.said.is_none_or(|said| now.duration_since(said) >= SAID_EVERY) {
            known.said = Some(now);
            tracing::warn!(target: "job_runner.http", "too many wrong tokens come from {address}; it is answered slowly");
        }
        Err(wait)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Middleware: checks the token of every request before any handler, whatever the path.
pub async fn slow_down(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let Some(said) = token::bearer(request.headers()) else { return next.run(request).await };
    match app.look_at_token(said, request.extensions()).await {
        // Each handler decides for itself what an operator may do.
        TokenVerdict::Right => {
            connections::mark_known(request.extensions());
            next.run(request).await
        }
        TokenVerdict::Wrong => next.run(request).await,
        TokenVerdict::TooMany(many) => {
            let headers = [(RETRY_AFTER, many.seconds())];
            (StatusCode::TOO_MANY_REQUESTS, headers, Json(RequestRefusal { error: many.to_string() })).into_response()
        }
    }
}
