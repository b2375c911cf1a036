//! Failures of PostgreSQL: which of them say that it cannot be used for now.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::error::{Severity, SqlState};

/// PostgreSQL cannot be reached, or refused a statement.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no connection, or it was cut.
    #[error("PostgreSQL at {place} does not answer")]
    Lost {
        /// Host and database, without a password.
        place: Arc<str>,
        /// Error of the client.
        #[source]
        cause: tokio_postgres::Error,
    },
    /// The connection was cut before, and is not used again.
    #[error("PostgreSQL at {place} has hung up")]
    Cut {
        /// Host and database, without a password.
        place: Arc<str>,
    },
    /// It did not answer in time.
    #[error("PostgreSQL at {place} has not answered for {seconds} s")]
    Silent {
        /// Host and database, without a password.
        place: Arc<str>,
        /// Time that was waited.
        seconds: u64,
    },
    /// It refused a statement, or a statement cannot be sent.
    #[error("PostgreSQL at {place} refuses a statement")]
    Refused {
        /// Host and database, without a password.
        place: Arc<str>,
        /// Error of the client.
        #[source]
        cause: tokio_postgres::Error,
    },
}

impl Failure {
    /// Tells a failure of the connection from one of a statement.
    pub fn of(place: &Arc<str>, cause: tokio_postgres::Error, is_cut: bool) -> Self {
        let place = Arc::clone(place);
        if is_cut || is_fatal(&cause) { Self::Lost { place, cause } } else { Self::Refused { place, cause } }
    }

    pub fn silent(place: &Arc<str>, waited: Duration) -> Self {
        Self::Silent { place: Arc::clone(place), seconds: waited.as_secs() }
    }

    /// Returns whether the connection cannot be used any more.
    pub fn is_lost(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }

    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Lost { cause, .. } | Self::Refused { cause, .. } => cause.code(),
            Self::Cut { .. } | Self::Silent { .. } => None,
        }
    }

    /// Returns whether PostgreSQL cannot be used for now, as opposed to a statement that is wrong: the connection is lost,
    /// it shuts down or starts, has no room or too many connections, or waits too long for a lock.
    pub fn is_outage(&self) -> bool {
        const CLASSES: [&str; 5] = ["08", "53", "57", "58", "XX"];
        // The last one: another server has just changed a table that a prepared statement reads whole.
        const CODES: [SqlState; 3] =
            [SqlState::LOCK_NOT_AVAILABLE, SqlState::READ_ONLY_SQL_TRANSACTION, SqlState::FEATURE_NOT_SUPPORTED];
        self.is_lost() || self.code().is_some_and(|code| CODES.contains(code) || CLASSES.contains(&&code.code()[..2]))
    }

    pub fn is_lock_timeout(&self) -> bool {
        self.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    pub fn is_unique_violation(&self) -> bool {
        self.code() == Some(&SqlState::UNIQUE_VIOLATION)
    }

    pub fn is_foreign_key_violation(&self) -> bool {
        self.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION)
    }
}

/// Returns whether the server hangs up after this error.
fn is_fatal(error: &tokio_postgres::Error) -> bool {
    let severity = error.as_db_error().and_then(tokio_postgres::error::DbError::parsed_severity);
    matches!(severity, Some(Severity::Fatal | Severity::Panic))
}
