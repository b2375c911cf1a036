//! Failures of calls, classified by what they mean to the caller.

use std::time::Duration;

/// Failure of one call to the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// The request was not sent: no name, no connection, no TLS, or no WebSocket for a call that needs one.
    #[error("server cannot be reached: {0}")]
    Unreachable(String),
    /// The request was sent and no answer came; the server may have carried it out or not.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// The server answered 408, 425, 429 or 5xx. A write may have been carried out.
    #[error("server answered with status {status}")]
    Server {
        /// HTTP status of the answer, as a number.
        status: u16,
        /// Pause that `Retry-After` asks for, at most 5 minutes.
        retry_after: Option<Duration>,
    },
    /// The server answered 401 or 403.
    #[error("credentials refused with status {0}")]
    Unauthorised(u16),
    /// The server answered 404 or 410.
    #[error("not found (404 or 410)")]
    NotFound,
    /// The server answered 409: another worker holds the resource.
    #[error("held by another worker (409)")]
    Conflict,
    /// The server answered 423: another instance of this worker is alive. The call was not carried out, and no call
    /// will be before that instance is gone.
    #[error("worker refused (423): {0}")]
    Occupied(String),
    /// The server answered 413, or its answer has more than 48 MiB.
    #[error("request or answer too large (413)")]
    TooLarge,
    /// The server answered another 4xx.
    #[error("request rejected with status {0}")]
    Rejected(u16),
    /// The path is not on the server or not in its API; the request was not sent.
    #[error("{0} is no path of the server's API")]
    Elsewhere(String),
    /// The server redirects to a place that is not followed.
    #[error("redirect to {0} is not followed")]
    Redirected(String),
    /// The server answered with success, but not as a Job-Runner server does.
    #[error("unexpected answer: {0}")]
    Nonsense(String),
}

impl CallFailure {
    /// Returns whether the same call may succeed later.
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

    /// Returns whether the failure is about what was asked, and says nothing about the health of the server.
    #[must_use]
    pub fn is_of_the_call(&self) -> bool {
        match self {
            // A 500 comes from the API itself, which fails at this request; the other 5xx and 429 come from a server or
            // a proxy that is overloaded or away.
            Self::Server { status, .. } => *status == 500,
            failure => !failure.is_passing(),
        }
    }

    /// Returns whether the answer came from a server that is there, although its failure counts as passing: a better
    /// answer may never come.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Server { status: 500, .. } | Self::Nonsense(_) | Self::Redirected(_))
    }

    /// Returns whether a write may have been carried out in spite of the failure.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::NoAnswer(_) | Self::Server { .. } | Self::Nonsense(_))
    }

    /// Returns the pause that the server asked for.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Longest `Retry-After` that is honoured.
const LONGEST: Duration = Duration::from_secs(300);

/// Reads `Retry-After`, in seconds or as an HTTP date. `None` for any other text and for a date in the past.
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
