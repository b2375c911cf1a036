//! What can go wrong with a call, by what it means to the caller.

use std::time::Duration;

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// Nothing was sent: no name, no connection, no TLS.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// It was sent, and no answer came: it may have been done or not.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// 5xx or 429. What was to be written may have been written.
    #[error("the server answered {status}")]
    Server {
        /// The status.
        status: u16,
        /// What `Retry-After` asks for, 5 minutes at most.
        retry_after: Option<Duration>,
    },
    /// 401 or 403.
    #[error("the server refuses us: {0}")]
    Unauthorised(u16),
    /// 404 or 410.
    #[error("the server does not know it (404)")]
    NotFound,
    /// 409: somebody else has it.
    #[error("the server says that it is another's (409)")]
    Conflict,
    /// 423: another instance of this worker is alive. Nothing was done, and nothing is until that one is gone.
    #[error("the server refuses this worker: {0}")]
    Occupied(String),
    /// 413, or an answer of more than 48 MiB.
    #[error("it is too large")]
    TooLarge,
    /// Another 4xx.
    #[error("the server rejects it: {0}")]
    Rejected(u16),
    /// A path that is none of our server's, or not of its API: nothing was sent.
    #[error("{0} is no path of the server's API")]
    Elsewhere(String),
    /// A redirect that we do not follow.
    #[error("the server redirects to {0}, which is not followed")]
    Redirected(String),
    /// Success, with an answer that makes none of a Job-Runner server.
    #[error("the answer makes no sense: {0}")]
    Nonsense(String),
}

impl CallFailure {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::NoAnswer(_)
            | Self::Server { .. }
            | Self::Occupied(_)
            | Self::Redirected(_)
            | Self::Nonsense(_) => true,
            Self::Unauthorised(_)
            | Self::NotFound
            | Self::Conflict
            | Self::TooLarge
            | Self::Rejected(_)
            | Self::Elsewhere(_) => false,
        }
    }

    /// Whether the failure says something of what was asked, and nothing of the server.
    #[must_use]
    pub fn is_of_the_call(&self) -> bool {
        match self {
            Self::Server { status, .. } => *status == 500,
            failure => !failure.is_passing(),
        }
    }

    /// Whether the server itself said so: it is there, and no better answer may ever come.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Server { status: 500, .. } | Self::Nonsense(_) | Self::Redirected(_))
    }

    /// Whether a write may have been done all the same.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::NoAnswer(_) | Self::Server { .. } | Self::Nonsense(_))
    }

    /// What the server asked to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The longest `Retry-After` that is honoured.
const LONGEST: Duration = Duration::from_secs(300);

/// Reads `Retry-After`: seconds or an HTTP date; anything else is as if it were not there.
#[must_use]
pub fn retry_after(value: &str, now: chrono::DateTime<chrono::Utc>) -> Option<Duration> {
    let value = value.trim();
    let asked = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => (chrono::DateTime::parse_from_rfc2822(value).ok()?.to_utc() - now).to_std().ok()?,
    };
    Some(asked.min(LONGEST))
}

#[cfg(test)]
mod tests;
