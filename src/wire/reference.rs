//! References: parses the one word by which an operator names a job, a worker or a run, which is a title or an id such
//! as `#5`.
//!
//! A title comes first, so that a job titled `5` is not taken for the one with the id 5. A number that is no title is
//! the id all the same, since shells take `#5` for a comment unless it is quoted. Only the usual spelling of a number
//! is one: `007` and `+5` are titles.

#[cfg(test)]
mod tests;

/// Interpretation of a word that names a job, a worker or a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference<'a> {
    /// Id, written as `#5`.
    Id(i64),
    /// Title or, where no title is the same, id: written as `5`.
    Number(i64),
    /// Title: any other text.
    Title(&'a str),
}

impl<'a> Reference<'a> {
    /// Parses a word; every text is a reference of some kind.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        match (text.strip_prefix('#').and_then(number), number(text)) {
            (Some(id), _) => Self::Id(id),
            (None, Some(id)) => Self::Number(id),
            (None, None) => Self::Title(text),
        }
    }

    /// Returns the id, for entities without a title (runs): `12` or `#12`.
    #[must_use]
    pub fn id(self) -> Option<i64> {
        match self {
            Self::Id(id) | Self::Number(id) => Some(id),
            Self::Title(_) => None,
        }
    }
}

/// Parses a positive number in its usual spelling: without a sign, a blank or a leading zero.
#[must_use]
pub fn number(text: &str) -> Option<i64> {
    let is_usual = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    // Empty text and numbers beyond an `i64` fail to parse here.
    is_usual.then(|| text.parse().ok()).flatten()
}
