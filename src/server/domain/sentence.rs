//! Sentences for people that name runs, jobs and times by value, so that a page can link them and show times in the
//! reader's zone. As plain text a sentence has ids as numbers and times as RFC 3339 in UTC. Pure.

use std::fmt;

use chrono::SecondsFormat;

use super::model::{JobId, Timestamp};
use crate::run::RunId;

#[cfg(test)]
mod tests;

/// Part of a [`Sentence`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text as it is shown.
    Text(String),
    /// A run, shown as its id.
    Run(RunId),
    /// A job, shown as its id.
    Job(JobId),
    /// A point in time.
    Time(Timestamp),
}

/// Sentence in pieces, in the order in which they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentence(Vec<Piece>);

impl Sentence {
    /// Appends a piece; texts next to each other become one piece.
    #[must_use]
    pub fn and(mut self, piece: impl Into<Piece>) -> Self {
        match (self.0.last_mut(), piece.into()) {
            (Some(Piece::Text(before)), Piece::Text(text)) => before.push_str(&text),
            (_, piece) => self.0.push(piece),
        }
        self
    }

    /// Appends the pieces of another sentence.
    #[must_use]
    pub fn then(self, other: Self) -> Self {
        other.0.into_iter().fold(self, Self::and)
    }

    /// Returns the pieces, in their order.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }
}

impl<T: Into<Piece>> From<T> for Sentence {
    fn from(piece: T) -> Self {
        Self::default().and(piece)
    }
}

impl From<&str> for Piece {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Piece {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<RunId> for Piece {
    fn from(run: RunId) -> Self {
        Self::Run(run)
    }
}

impl From<JobId> for Piece {
    fn from(job: JobId) -> Self {
        Self::Job(job)
    }
}

impl From<Timestamp> for Piece {
    fn from(at: Timestamp) -> Self {
        Self::Time(at)
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Run(run) => write!(f, "{run}"),
            Piece::Job(job) => write!(f, "{job}"),
            Piece::Time(at) => f.write_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true)),
        })
    }
}
