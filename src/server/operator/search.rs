//! What is sought in a log: in which lines it stands, looked for piece by piece. Pure.

use aho_corasick::AhoCorasick;

#[cfg(test)]
mod tests;

/// The longest text that is sought, in bytes.
pub(super) const LONGEST: usize = 800;
/// How much of a line may wait for its end. A longer one is looked through in parts.
const LINE: usize = 1024 * 1024;

/// A search under way.
#[derive(Debug)]
pub(super) struct Search {
    needle: AhoCorasick,
    length: usize,
    most: usize,
    /// The number of the line that is looked through.
    line: u64,
    /// What of it is still to be looked through.
    rest: Vec<u8>,
    found: Vec<u64>,
}

impl Search {
    /// For a text, letters of ASCII in any case; `most` lines are enough. Nothing where there is nothing to seek.
    pub fn new(text: &str, most: usize) -> Option<Self> {
        if text.is_empty() || text.len() > LONGEST || text.contains('\n') {
            return None;
        }
        let needle = AhoCorasick::builder().ascii_case_insensitive(true).build([text]).ok()?;
        Some(Self { needle, length: text.len(), most, line: 0, rest: Vec::new(), found: Vec::new() })
    }

    /// Looks on in what comes next. False when more of it is not needed.
    pub fn look(&mut self, piece: &[u8]) -> bool {
        self.rest.extend_from_slice(piece);
        match self.rest.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => self.look_through(end + 1, end + 1),
            // What begins at its end may go on in the next piece.
            None if self.rest.len() > LINE => self.look_through(self.rest.len(), self.rest.len() - (self.length - 1)),
            None => {}
        }
        self.found.len() <= self.most
    }

    /// Looks through what waits, up to a byte, and forgets it, up to another.
    fn look_through(&mut self, end: usize, forget: usize) {
        let mut at = 0;
        for found in self.needle.find_iter(&self.rest[..end]) {
            self.line += ends(&self.rest[at..found.start()]);
            at = found.start();
            if self.found.last() != Some(&self.line) {
                self.found.push(self.line);
            }
            if self.found.len() > self.most {
                break;
            }
        }
        self.line += ends(&self.rest[at..end]);
        self.rest.drain(..forget);
    }

    /// The lines in which it stands, the first of the log being 0, and whether there are more.
    pub fn found(mut self) -> (Vec<u64>, bool) {
        self.look_through(self.rest.len(), self.rest.len());
        let more = self.found.len() > self.most;
        self.found.truncate(self.most);
        (self.found, more)
    }
}

fn ends(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}
