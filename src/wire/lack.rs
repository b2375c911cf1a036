//! What a worker has too little of, in its status report and to operators: a JSON list of objects, each with the word for it
//! as `what`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::run::lack::Lack;

#[cfg(test)]
mod tests;

/// The most that is read of a worker's list.
pub const MAX_LACKS: usize = 16;
/// The longest text of one, in bytes.
const MAX_TEXT: usize = 500;

/// One of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum LackFacts {
    /// Too many results wait.
    Backlog {
        /// How many.
        results: u64,
    },
    /// The outbox cannot be written.
    Outbox {
        /// Why.
        why: String,
    },
    /// What was claimed cannot be launched.
    Launch {
        /// Why.
        why: String,
    },
    /// Bytes on a disk.
    Bytes {
        /// The key of the directory there.
        at: String,
        /// How many are free.
        left: u64,
    },
    /// Files on a disk.
    Files {
        /// The key of the directory there.
        at: String,
        /// How many more can be made.
        left: u64,
    },
    /// Descriptors.
    Descriptors {
        /// How many more can be opened.
        left: u64,
    },
    /// What we do not know.
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

/// Reads a worker's list. What is none of ours is something unknown: a later worker says more, and none is refused for it.
#[must_use]
pub fn read(list: &Value) -> Vec<Lack> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let read = |lack: &Value| LackFacts::deserialize(lack).map_or(Lack::Unknown, Lack::from);
    list.iter().take(MAX_LACKS).map(read).collect()
}

/// The list as JSON.
#[must_use]
pub fn list(lacks: &[Lack]) -> Vec<LackFacts> {
    lacks.iter().map(LackFacts::from).collect()
}

fn cut(mut text: String) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
