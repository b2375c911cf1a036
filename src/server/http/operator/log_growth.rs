//! Log growth: decides from which byte a stream goes on when the log has changed under it. Pure.
//!
//! A log mostly grows at its end. One that is too long loses its middle: then the end of the text that was sent is
//! searched for in the new text, to go on behind it.

use aho_corasick::AhoCorasick;

#[cfg(test)]
mod tests;

/// Bytes of the end of the sent text that are searched for. Fewer would too easily be found in the wrong place.
const NEEDLE: usize = 1024;

/// Text of a log that was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SentLog {
    /// Length of the sent text in bytes, which is the offset of the next piece.
    pub bytes: u64,
    /// Last bytes of the sent text, at most [`NEEDLE`].
    end: Vec<u8>,
}

/// Way to go on with a log that has changed.
#[derive(Debug)]
pub(super) enum GrowthStep {
    /// The sent text still stands: text behind it is new.
    Same,
    /// The log ends where the unchanged part ends.
    Shorter,
    /// The log differs from here on, and the end of the sent text may stand elsewhere in it.
    Seek(Box<Seek>),
}

impl SentLog {
    /// Starts at an offset in bytes, with no text sent.
    pub fn from(bytes: u64) -> Self {
        Self { bytes, end: Vec::new() }
    }

    /// Records a piece as sent.
    pub fn record(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        let stays = NEEDLE.saturating_sub(piece.len()).min(self.end.len());
        self.end.drain(..self.end.len() - stays);
        self.end.extend_from_slice(&piece[piece.len().saturating_sub(NEEDLE)..]);
    }

    /// Decides how to go on with a log that is unchanged in its first `kept` bytes and `bytes` long.
    pub fn go_on(&self, kept: u64, bytes: u64) -> GrowthStep {
        if self.bytes <= kept {
            GrowthStep::Same
        } else if kept >= bytes {
            GrowthStep::Shorter
        } else {
            GrowthStep::Seek(Box::new(Seek::new(&self.end, kept)))
        }
    }
}

/// Search for the last place in a log at which the end of the sent text stands.
#[derive(Debug)]
pub(super) struct Seek {
    /// Text that is searched for; `None` where it is too short.
    needle: Option<AhoCorasick>,
    length: usize,
    /// Offset up to which the log was searched.
    pub at: u64,
    /// End of the searched text: a match may begin in it.
    before: Vec<u8>,
    found: Option<u64>,
}

impl Seek {
    fn new(needle: &[u8], from: u64) -> Self {
        let length = needle.len();
        let needle = Some(needle).filter(|_| length >= NEEDLE / 2).and_then(|needle| AhoCorasick::new([needle]).ok());
        Self { needle, length, at: from, before: Vec::new(), found: None }
    }

    /// Returns whether the sent text is long enough to be searched for.
    pub fn can_match(&self) -> bool {
        self.needle.is_some()
    }

    /// Searches the next piece of the log.
    pub fn search(&mut self, piece: &[u8]) {
        let Some(needle) = &self.needle else { return };
        let begin = self.at - self.before.len() as u64;
        self.at += piece.len() as u64;
        self.before.extend_from_slice(piece);
        // The last place counts: of output that repeats itself, sending too little is better than sending a part twice.
        if let Some(last) = needle.find_overlapping_iter(&self.before).last() {
            self.found = Some(begin + last.end() as u64);
        }
        // A match that ends in the next piece can begin in the last `length - 1` bytes of this one.
        let passed = self.before.len() - (self.length - 1).min(self.before.len());
        self.before.drain(..passed);
    }

    /// Returns the offset behind the last match.
    pub fn found(&self) -> Option<u64> {
        self.found
    }
}
