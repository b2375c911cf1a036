//! Log search: looks for a text, piece by piece, in each line as a terminal shows it. Pure.

use aho_corasick::AhoCorasick;

use crate::server::http::terminal::Terminal;

#[cfg(test)]
mod tests;

/// Longest text of a search, in bytes.
pub(super) const LONGEST: usize = 800;
/// Maximum number of characters of a line that are held until its end arrives. A longer line is searched in parts.
const LINE: usize = 256 * 1024;

/// Search that is under way.
#[derive(Debug)]
pub(super) struct Search {
    needle: AhoCorasick,
    /// Whether the text has letters beyond ASCII, for which lines are folded to lower case.
    is_folded: bool,
    /// Length of the text in characters.
    length: usize,
    most: usize,
    terminal: Terminal,
    /// Number of the line that is searched.
    line: u64,
    found: Vec<u64>,
}

impl Search {
    /// Creates a search that ignores case and lists at most `most` lines. `None` where the text is empty, longer than
    /// [`LONGEST`] or has several lines.
    pub fn new(text: &str, most: usize) -> Option<Self> {
        if text.is_empty() || text.len() > LONGEST || text.contains('\n') {
            return None;
        }
        // The automaton ignores the case of ASCII letters only.
        let is_folded = !text.is_ascii();
        let sought = if is_folded { text.to_lowercase() } else { text.to_owned() };
        let needle = AhoCorasick::builder().ascii_case_insensitive(true).build([sought.as_str()]).ok()?;
        let length = sought.chars().count();
        Some(Self { needle, is_folded, length, most, terminal: Terminal::new(LINE), line: 0, found: Vec::new() })
    }

    /// Searches the next piece of the log. Returns false as soon as more lines match than are listed.
    pub fn search(&mut self, piece: &[u8]) -> bool {
        let mut rest = piece;
        // One line more than is listed is searched for, to know whether there are more.
        while !rest.is_empty() && self.found.len() <= self.most {
            // At most as much as the line has room for: the terminal drops characters beyond its last column.
            let part = &rest[..rest.len().min(LINE / 2)];
            let (read, row) = self.terminal.read(part);
            rest = &rest[read..];
            match row {
                Some(row) => {
                    self.compare(&row.text());
                    self.line += 1;
                }
                // A match that begins at the end of this part may go on in the next, so as much of it is kept.
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

    /// Ends the search and returns the numbers of the matching lines, the first of the log being 0, and whether there
    /// are more.
    pub fn found(mut self) -> (Vec<u64>, bool) {
        let last = self.terminal.end_line();
        self.compare(&last.text());
        let more = self.found.len() > self.most;
        self.found.truncate(self.most);
        (self.found, more)
    }
}
