//! Searches a log for a text, piece by piece, in what a terminal shows of each line. Pure.

use aho_corasick::AhoCorasick;

use crate::server::http::terminal::Terminal;

#[cfg(test)]
mod tests;

/// The longest text that is sought, in bytes.
pub(super) const LONGEST: usize = 800;
/// How much of a line may wait for its end, in characters. A longer one is searched in parts.
const LINE: usize = 256 * 1024;

/// A search under way.
#[derive(Debug)]
pub(super) struct Search {
    needle: AhoCorasick,
    /// Whether the text has letters beyond ASCII, for which lines are folded to lower case.
    is_folded: bool,
    /// The length of the text in characters.
    length: usize,
    most: usize,
    terminal: Terminal,
    /// The number of the line that is searched.
    line: u64,
    found: Vec<u64>,
}

impl Search {
    /// For a text, letters in any case; `most` lines are enough. `None` where there is nothing to seek.
    pub fn new(text: &str, most: usize) -> Option<Self> {
        if text.is_empty() || text.len() > LONGEST || text.contains('\n') {
            return None;
        }
        let is_folded = !text.is_ascii();
        let sought = if is_folded { text.to_lowercase() } else { text.to_owned() };
        let needle = AhoCorasick::builder().ascii_case_insensitive(true).build([sought.as_str()]).ok()?;
        let length = sought.chars().count();
        Some(Self { needle, is_folded, length, most, terminal: Terminal::new(LINE), line: 0, found: Vec::new() })
    }

    /// Searches what comes next. False when more of it is not needed.
    pub fn look(&mut self, piece: &[u8]) -> bool {
        let mut rest = piece;
        while !rest.is_empty() && self.found.len() <= self.most {
            // No more at once than there is room for on the line.
            let part = &rest[..rest.len().min(LINE / 2)];
            let (read, row) = self.terminal.read(part);
            rest = &rest[read..];
            match row {
                Some(row) => {
                    self.compare(&row.text());
                    self.line += 1;
                }
                // What begins at its end may go on in the next piece.
                None if self.terminal.width() >= LINE / 2 => {
                    let text = self.terminal.shift(self.length - 1);
                    self.compare(&text);
                }
                None => {}
            }
        }
        self.found.len() <= self.most
    }

    fn compare(&mut self, text: &str) {
        let is_there =
            if self.is_folded { self.needle.is_match(&text.to_lowercase()) } else { self.needle.is_match(text) };
        if is_there && self.found.last() != Some(&self.line) {
            self.found.push(self.line);
        }
    }

    /// The lines in which it stands, the first of the log being 0, and whether there are more.
    pub fn found(mut self) -> (Vec<u64>, bool) {
        let last = self.terminal.end_line();
        self.compare(&last.text());
        let more = self.found.len() > self.most;
        self.found.truncate(self.most);
        (self.found, more)
    }
}
