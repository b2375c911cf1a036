//! Wrong tokens: counts those of each address, and says how long the answer to one of too many is held back.
//!
//! A right token is let in at once, whatever came from other addresses; and from its own address too, unless too many
//! wrong ones are waiting there for their answers. So neither a stranger nor an old token in a script behind the same
//! proxy shuts anybody out. The memory of addresses is bounded, and quiet ones are forgotten. `table` decides the delay;
//! `http::shared::wrong_tokens` waits for it before it answers.

mod table;

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::server::http::connections::Source;
use table::GuessTable;

/// Least time between two log messages about slowed answers.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Wrong tokens of each address, shared by all requests.
#[derive(Debug, Default)]
pub struct WrongTokenLimits(Mutex<Known>);

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
    /// Refusal after this delay; at least a second, as `Retry-After` counts whole ones and 0 would invite the next try
    /// at once.
    #[must_use]
    pub fn after(wait: Duration) -> Self {
        Self(wait.max(Duration::from_secs(1)))
    }

    /// Seconds after which the next token is answered sooner.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0.as_secs()
    }
}

impl WrongTokenLimits {
    /// Checks a token of an address; while too many of its answers are delayed, the token is not looked at.
    ///
    /// # Errors
    /// If too many tokens from this address were wrong: the delay before the answer that says so.
    pub fn look(&self, address: IpAddr, is_right: impl FnOnce() -> bool) -> Result<TokenVerdict, Duration> {
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
        if known.said.is_none_or(|said| now.duration_since(said) >= LOG_INTERVAL) {
            known.said = Some(now);
            tracing::warn!(target: "job_runner.http", %address, "too many wrong tokens; further ones are answered slowly");
        }
        Err(wait)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
