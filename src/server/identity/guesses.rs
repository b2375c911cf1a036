//! Tokens that are wrong: an address from which many of them come is answered more and more slowly.
//!
//! A token that is right is let in at once, whatever came from other addresses; and from its own, unless as many wrong ones
//! wait there for their answers as may. So nobody is shut out by a stranger, nor by an old token in a script behind the same
//! proxy. What is kept of addresses is bounded, and forgotten when they are quiet.

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

/// How often it is said that somebody is slowed down.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// The wrong tokens of each address.
#[derive(Debug, Default)]
pub struct Guesses(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    table: GuessTable,
    said: Option<Instant>,
}

/// What a token is worth that somebody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenVerdict {
    /// It is the operator's.
    Right,
    /// It is not.
    Wrong,
    /// It is one of too many wrong ones from its address.
    TooMany(TooMany),
}

/// Too many wrong tokens came from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many wrong tokens came from this address; try again in {} s", .0.as_secs())]
pub struct TooMany(Duration);

impl TooMany {
    /// After how many seconds the next is looked at sooner.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0.as_secs()
    }
}

impl AppState {
    /// Looks at a token that somebody says, and takes its time where too many were wrong.
    pub async fn look_at_token(&self, said: &str, extensions: &Extensions) -> TokenVerdict {
        let wait = match self.guesses.look(connections::address_of(extensions), || self.token.is(said)) {
            Ok(worth) => return worth,
            Err(wait) => wait,
        };
        // Who is to be answered when the server stops is answered then.
        let _ = self.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        TokenVerdict::TooMany(TooMany(wait.max(Duration::from_secs(1))))
    }
}

impl Guesses {
    /// What a token is worth; or after which time it is to be answered that there were too many.
    fn look(&self, address: IpAddr, is_right: impl FnOnce() -> bool) -> Result<TokenVerdict, Duration> {
        let (source, now) = (Source::of(address), Instant::now());
        let mut known = self.known();
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

/// Looks at the token of a request before anything else does, whatever is asked for.
pub async fn slow_down(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let Some(said) = token::bearer(request.headers()) else { return next.run(request).await };
    match app.look_at_token(said, request.extensions()).await {
        // Who may do what is for each door to say.
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
