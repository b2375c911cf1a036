//! What there is to say about a configuration, collected so that it can be told at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// It stands in the file.
    File {
        /// As it was given.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// An environment variable set it.
    Environment(String),
    /// An option of the command line set it.
    Option(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Option(name) => write!(f, "option {name}"),
        }
    }
}

/// The text that counts for each key.
pub type Texts = BTreeMap<&'static str, Given>;

/// A value, where it comes from, and what it is the value of.
#[derive(Clone)]
pub struct Given {
    /// The key.
    pub key: &'static str,
    /// The text that counts, interpolated if it comes from the file.
    pub text: String,
    /// Where it comes from.
    pub origin: Origin,
}

impl fmt::Debug for Given {
    /// Without the text, which may be the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("key", &self.key).field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Mistakes stop the worker, warnings do not. Each is one line.
#[derive(Debug, Default)]
pub struct Findings {
    /// What must be changed.
    pub mistakes: Vec<String>,
    /// What should be looked at.
    pub warnings: Vec<String>,
    /// Required keys that nobody set; they are told in one line.
    pub missing: Vec<&'static str>,
}

impl Findings {
    /// Something about a key is wrong.
    pub fn mistake(&mut self, origin: &Origin, key: &str, what: impl fmt::Display) {
        self.mistakes.push(one_line(&format!("{origin}: {key}: {what}")));
    }

    /// Something about a key is odd.
    pub fn warning(&mut self, origin: &Origin, key: &str, what: impl fmt::Display) {
        self.warnings.push(one_line(&format!("{origin}: {key}: {what}")));
    }
}

/// Values and paths may hold line breaks and terminal sequences; a message may not.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}
