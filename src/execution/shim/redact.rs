//! Secrets taken out of a stream that comes in pieces.
//!
//! Every byte that is part of an occurrence of a secret is covered, occurrences that overlap or touch are covered
//! together, and one [`MASK`] stands for each such stretch, whatever its length. What comes out does not depend on
//! how the stream was cut: at the end of a piece, what may be the beginning of a secret is held back until more of
//! the stream shows whether it is. That is less than the longest secret, and nothing in most output.

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, Input, MatchKind};

use crate::run::Secret;

/// What stands in the place of secrets.
pub const MASK: &[u8] = b"****";

/// The secrets, and where in the stream we are. No `Debug`: it would show them.
pub struct Redactor {
    search: AhoCorasick,
    secrets: Vec<Secret>,
    /// Whether a secret begins with a byte.
    begins: [bool; 256],
    /// How long the longest secret is.
    longest: usize,
    /// The end of the stream, from where a secret may have begun.
    held: Vec<u8>,
    /// Set where a mask was the last that was given out: how many of the held bytes it stands for too.
    mask: Option<usize>,
    out: Vec<u8>,
}

impl Redactor {
    /// Nothing, where there is nothing to take out. Empty secrets are in every text and are left out.
    ///
    /// # Errors
    /// That there are more secrets than can be searched for.
    pub fn new(secrets: &[Secret]) -> Result<Option<Self>, BuildError> {
        let secrets: Vec<Secret> = secrets.iter().filter(|secret| !secret.expose().is_empty()).cloned().collect();
        let Some(longest) = secrets.iter().map(|secret| secret.expose().len()).max() else { return Ok(None) };
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            // The small one: shims are many.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(secrets.iter().map(Secret::expose))?;
        let mut begins = [false; 256];
        for secret in &secrets {
            begins[usize::from(secret.expose()[0])] = true;
        }
        Ok(Some(Self { search, secrets, begins, longest, held: Vec::new(), mask: None, out: Vec::new() }))
    }

    /// Whether it is these secrets that it takes out.
    #[must_use]
    pub fn is_of(&self, secrets: &[Secret]) -> bool {
        let given = secrets.iter().map(Secret::expose).filter(|secret| !secret.is_empty());
        self.secrets.iter().map(Secret::expose).eq(given)
    }

    /// Begins another stream.
    pub fn begin_anew(&mut self) {
        (self.held, self.mask, self.out) = (Vec::new(), None, Vec::new());
    }

    /// Takes a piece of the stream, and gives out what is certain by now.
    pub fn pass<'a>(&'a mut self, piece: &'a [u8]) -> &'a [u8] {
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

    /// Gives out the rest: the stream is over.
    pub fn finish(&mut self) -> &[u8] {
        let text = std::mem::take(&mut self.held);
        self.cover(&text, text.len());
        self.mask = None;
        &self.out
    }

    /// How many bytes at the end of a text may be the beginning of a secret.
    fn begun(&self, text: &[u8]) -> usize {
        let first = text.len().saturating_sub(self.longest - 1);
        let goes_on = |rest: &[u8]| {
            let more = |secret: &Secret| secret.expose().len() > rest.len() && secret.expose().starts_with(rest);
            self.begins[usize::from(rest[0])] && self.secrets.iter().any(more)
        };
        (first..text.len()).find(|at| goes_on(&text[*at..])).map_or(0, |at| text.len() - at)
    }

    /// Puts the first `certain` bytes of a text into `out`, with masks for the secrets. No secret begins in them that
    /// does not end in the text.
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
            // Another one may begin within it.
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
