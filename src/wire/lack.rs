//! Lacks of a worker, in its status report and towards operators: a JSON list of objects, each with the kind of lack as
//! `what`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::run::lack::Lack;

#[cfg(test)]
mod tests;

/// Most entries of a worker's list that are read; later ones are ignored.
pub const MAX_LACKS: usize = 16;
/// Longest text of an entry, in bytes; the rest is cut off.
const MAX_TEXT: usize = 500;

/// Entry of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum LackFacts {
    /// Too many results wait in the outbox.
    Backlog {
        /// Number of results that wait.
        results: u64,
    },
    /// The outbox cannot be written.
    Outbox {
        /// Cause, as the worker describes it.
        why: String,
    },
    /// A claimed run cannot be launched.
    Launch {
        /// Cause, as the worker describes it.
        why: String,
    },
    /// Too few bytes are free on a disk.
    Bytes {
        /// Setting key of the directory on that disk.
        at: String,
        /// Bytes that are free.
        left: u64,
    },
    /// Too few files can be made on a disk.
    Files {
        /// Setting key of the directory on that disk.
        at: String,
        /// Files that can still be made.
        left: u64,
    },
    /// Too few file descriptors can be opened.
    Descriptors {
        /// Descriptors that can still be opened.
        left: u64,
    },
    /// A shortage that only a later version knows.
    #[serde(other)]
    Unknown,
}

impl From<&Lack> for LackFacts {
    fn from(lack: &Lack) -> Self {
        match lack {
            Lack::Backlog(results) => Self::Backlog { results: *results },
            Lack::Outbox(why) => Self::Outbox { why: why.clone() },
            Lack::Launch(why) => Self::Launch { why: why.clone() },
            Lack::Bytes(at, left) => Self::Bytes { at: at.to_string(), left: *left },
            Lack::Files(at, left) => Self::Files { at: at.to_string(), left: *left },
            Lack::Descriptors(left) => Self::Descriptors { left: *left },
            Lack::Unknown => Self::Unknown,
        }
    }
}

impl From<LackFacts> for Lack {
    fn from(lacking: LackFacts) -> Self {
        match lacking {
            LackFacts::Backlog { results } => Self::Backlog(results),
            LackFacts::Outbox { why } => Self::Outbox(cut(why)),
            LackFacts::Launch { why } => Self::Launch(cut(why)),
            LackFacts::Bytes { at, left } => Self::Bytes(cut(at).into(), left),
            LackFacts::Files { at, left } => Self::Files(cut(at).into(), left),
            LackFacts::Descriptors { left } => Self::Descriptors(left),
            LackFacts::Unknown => Self::Unknown,
        }
    }
}

/// Decodes a worker's list; anything but a list is an empty one. An entry that cannot be read is [`Lack::Unknown`], so
/// that a later worker is not refused for saying more.
#[must_use]
pub fn read(list: &Value) -> Vec<Lack> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let read = |lack: &Value| LackFacts::deserialize(lack).map_or(Lack::Unknown, Lack::from);
    // The worker chooses the length of its list, so the server bounds it.
    list.iter().take(MAX_LACKS).map(read).collect()
}

/// Encodes shortages for a status report or an operator.
#[must_use]
pub fn list(lacks: &[Lack]) -> Vec<LackFacts> {
    lacks.iter().map(LackFacts::from).collect()
}

fn cut(mut text: String) -> String {
    // `String::truncate` panics within a character, and a worker chooses this text.
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
