//! Redaction of secrets in a stream that arrives in pieces.
//!
//! Every byte that is part of an occurrence of a secret is covered, occurrences that overlap or touch are covered
//! together, and one [`MASK`] stands for each such stretch, whatever its length. The result does not depend on how the
//! stream was cut: at the end of a piece, bytes that may begin a secret are held back until more of the stream decides.
//! At most one byte less than the longest secret is held back; in most output, nothing is.

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, Input, MatchKind};

use crate::run::Secret;

/// Replacement for a stretch of secrets.
pub const MASK: &[u8] = b"****";

/// The secrets and the position in the stream. Has no `Debug`, which would show the secrets.
pub struct Redactor {
    search: AhoCorasick,
    secrets: Vec<Secret>,
    /// For each byte, whether a secret begins with it.
    begins: [bool; 256],
    /// Length of the longest secret in bytes.
    longest: usize,
    /// End of the stream so far, from where a secret may have begun.
    held: Vec<u8>,
    /// Set if a mask was written last: the number of held bytes that it covers as well.
    mask: Option<usize>,
    out: Vec<u8>,
}

impl Redactor {
    /// Creates a redactor; `None` if there is no secret to mask. Empty secrets, which every text contains, are ignored.
    ///
    /// # Errors
    /// If there are more secrets than the search can hold.
    pub fn new(secrets: &[Secret]) -> Result<Option<Self>, BuildError> {
        let secrets: Vec<Secret> = secrets.iter().filter(|secret| !secret.expose().is_empty()).cloned().collect();
        let Some(longest) = secrets.iter().map(|secret| secret.expose().len()).max() else { return Ok(None) };
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            // The most compact automaton: there are many shims, and most output is short.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(secrets.iter().map(Secret::expose))?;
        let mut begins = [false; 256];
        for secret in &secrets {
            begins[usize::from(secret.expose()[0])] = true;
        }
        Ok(Some(Self { search, secrets, begins, longest, held: Vec::new(), mask: None, out: Vec::new() }))
    }

    /// Returns whether this redactor masks exactly these secrets.
    #[must_use]
    pub fn is_of(&self, secrets: &[Secret]) -> bool {
        let given = secrets.iter().map(Secret::expose).filter(|secret| !secret.is_empty());
        self.secrets.iter().map(Secret::expose).eq(given)
    }

    /// Forgets the former stream, so that another can begin.
    pub fn begin_anew(&mut self) {
        (self.held, self.mask, self.out) = (Vec::new(), None, Vec::new());
    }

    /// Takes a piece of the stream and returns what is decided by now.
    pub fn pass<'a>(&'a mut self, piece: &'a [u8]) -> &'a [u8] {
        // The common case: nothing is held and nothing matches, so the piece passes without a copy.
        if self.held.is_empty() && self.mask.is_none() && self.search.find(piece).is_none() {
            let certain = piece.len() - self.begun(piece);
            self.held.extend_from_slice(&piece[certain..]);
            return &piece[..certain];
        }
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(piece);
        let certain = text.len() - self.begun(&text);
        self.cover(&text, certain);
        text.drain(..certain);
        self.held = text;
        &self.out
    }

    /// Ends the stream and returns the rest of it.
    pub fn finish(&mut self) -> &[u8] {
        let text = std::mem::take(&mut self.held);
        self.cover(&text, text.len());
        self.mask = None;
        &self.out
    }

    /// Returns the number of bytes at the end of a text that may begin a secret.
    fn begun(&self, text: &[u8]) -> usize {
        let first = text.len().saturating_sub(self.longest - 1);
        let goes_on = |rest: &[u8]| {
            let more = |secret: &Secret| secret.expose().len() > rest.len() && secret.expose().starts_with(rest);
            self.begins[usize::from(rest[0])] && self.secrets.iter().any(more)
        };
        (first..text.len()).find(|at| goes_on(&text[*at..])).map_or(0, |at| text.len() - at)
    }

    /// Writes the first `certain` bytes of a text to `out`, with masks for the secrets. The caller makes sure that a
    /// secret which begins in them also ends in the text.
    fn cover(&mut self, text: &[u8], certain: usize) {
        self.out.clear();
        let mut masked = self.mask.take();
        let mut from = 0;
        while let Some(found) = self.search.find(Input::new(text).range(from..)).filter(|m| m.start() < certain) {
            match masked {
                Some(end) if found.start() <= end => masked = Some(end.max(found.end())),
                before => {
                    self.out.extend_from_slice(&text[before.unwrap_or(0)..found.start()]);
                    self.out.extend_from_slice(MASK);
                    masked = Some(found.end());
                }
            }
            // Another occurrence may begin within this one.
            from = found.start() + 1;
        }
        match masked {
            Some(end) if end >= certain => self.mask = Some(end - certain),
            before => self.out.extend_from_slice(&text[before.unwrap_or(0)..certain]),
        }
    }
}

#[cfg(test)]
mod tests;
