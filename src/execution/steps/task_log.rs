//! Log of a task: lines with their time, as Flamenco's worker writes them.

use std::io::{self, Write};

use chrono::Utc;

/// Writer of the log. Lines are written whole, in one call where the system takes them.
pub(super) struct TaskLog<W>(W);

impl<W: Write> TaskLog<W> {
    pub(super) fn new(out: W) -> Self {
        Self(out)
    }

    /// Writes a text; each of its lines gets a time, so that none can look like another's.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        self.lines("", text.split('\n'))
    }

    /// Writes lines that came together, each with its time and a prefix. None contains a line feed.
    pub(super) fn lines<L: AsRef<str>>(&mut self, prefix: &str, lines: impl Iterator<Item = L>) -> io::Result<()> {
        let at = Utc::now().format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string();
        let mut stamped = String::new();
        for line in lines {
            stamped.extend([&at, ": ", prefix, line.as_ref(), "\n"]);
        }
        self.0.write_all(stamped.as_bytes())
    }
}
