//! What of a log was told, and what there is to tell when the log is another. Pure.
//!
//! A log mostly grows at its end. One that is too long loses its middle: then the end of what was told is looked for
//! in the new text, to go on where it was left.

use aho_corasick::AhoCorasick;

#[cfg(test)]
mod tests;

/// How much of the end of what was told is looked for, in bytes. Less would be found in the wrong place too easily.
const NEEDLE: usize = 1024;

/// What was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ToldLog {
    /// How many bytes of the log.
    pub bytes: u64,
    /// The end of it.
    end: Vec<u8>,
}

/// How it goes on with a log that is another.
#[derive(Debug)]
pub(super) enum GrowthStep {
    /// What was told stands in it still: what comes behind is new.
    Same,
    /// Nothing is left of it behind what stands still.
    Shorter,
    /// From here on it is another, and what was told may be found again.
    Seek(Box<Seek>),
}

impl ToldLog {
    /// Nothing yet: it is to begin there.
    pub fn from(bytes: u64) -> Self {
        Self { bytes, end: Vec::new() }
    }

    /// This is told now.
    pub fn tell(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        let stays = NEEDLE.saturating_sub(piece.len()).min(self.end.len());
        self.end.drain(..self.end.len() - stays);
        self.end.extend_from_slice(&piece[piece.len().saturating_sub(NEEDLE)..]);
    }

    /// The log is another from `kept` bytes on, and `bytes` long.
    pub fn replaced(&self, kept: u64, bytes: u64) -> GrowthStep {
        if self.bytes <= kept {
            GrowthStep::Same
        } else if kept >= bytes {
            GrowthStep::Shorter
        } else {
            GrowthStep::Seek(Box::new(Seek::new(&self.end, kept)))
        }
    }
}

/// Looks for the last place of what was told.
#[derive(Debug)]
pub(super) struct Seek {
    /// Nothing where it is too short to be looked for.
    needle: Option<AhoCorasick>,
    length: usize,
    /// Up to which byte it was looked for.
    pub at: u64,
    /// What there was last: what is looked for may begin in it.
    before: Vec<u8>,
    found: Option<u64>,
}

impl Seek {
    fn new(needle: &[u8], from: u64) -> Self {
        let length = needle.len();
        let needle = Some(needle).filter(|_| length >= NEEDLE / 2).and_then(|needle| AhoCorasick::new([needle]).ok());
        Self { needle, length, at: from, before: Vec::new(), found: None }
    }

    /// Whether there is something to look for.
    pub fn is_of_use(&self) -> bool {
        self.needle.is_some()
    }

    /// Looks on in what comes next.
    pub fn look(&mut self, piece: &[u8]) {
        let Some(needle) = &self.needle else { return };
        let begin = self.at - self.before.len() as u64;
        self.at += piece.len() as u64;
        self.before.extend_from_slice(piece);
        // The last place: output that repeats itself is rather told too little than twice.
        if let Some(last) = needle.find_overlapping_iter(&self.before).last() {
            self.found = Some(begin + last.end() as u64);
        }
        let passed = self.before.len() - (self.length - 1).min(self.before.len());
        self.before.drain(..passed);
    }

    /// Behind which byte it was found.
    pub fn found(&self) -> Option<u64> {
        self.found
    }
}
