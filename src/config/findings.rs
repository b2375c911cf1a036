//! Findings: mistakes and warnings about a configuration, collected so that all can be reported at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Origin of a value of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The built-in default, because the key was not set.
    Default,
    /// The configuration file, on one of its lines.
    File {
        /// Path of the file as it was given.
        path: PathBuf,
        /// Line of the key, from 1.
        line: usize,
    },
    /// An environment variable; holds its name.
    Environment(String),
    /// A command-line option; holds its name.
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

/// The text in force for each key, by name.
pub type Texts = BTreeMap<&'static str, Given>;

/// Text of a key and its origin.
#[derive(Clone)]
pub struct Given {
    /// Name of the key in the file.
    pub key: &'static str,
    /// Text in force, interpolated if it comes from the file.
    pub text: String,
    /// Origin of the text, for messages.
    pub origin: Origin,
}

impl fmt::Debug for Given {
    /// Omits the text, which may be the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `finish_non_exhaustive` shows that a field is missing on purpose.
        f.debug_struct("Given").field("key", &self.key).field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Mistakes, which stop the program, and warnings, which do not. Each is one line.
#[derive(Debug, Default)]
pub struct Findings {
    /// Lines about faults that must be corrected.
    pub mistakes: Vec<String>,
    /// Lines about suspicious settings.
    pub warnings: Vec<String>,
    /// Required keys that are not set; reported together in one line.
    pub missing: Vec<&'static str>,
}

impl Findings {
    /// Adds a mistake in the value of a key.
    pub fn mistake(&mut self, origin: &Origin, key: &str, what: impl fmt::Display) {
        self.mistakes.push(one_line(&format!("{origin}: {key}: {what}")));
    }

    /// Adds a warning about the value of a key.
    pub fn warning(&mut self, origin: &Origin, key: &str, what: impl fmt::Display) {
        self.warnings.push(one_line(&format!("{origin}: {key}: {what}")));
    }
}

/// Escapes control characters: values and paths may contain line breaks and terminal sequences, messages may not.
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
