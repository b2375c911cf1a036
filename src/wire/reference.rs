//! How people name a job, a worker or a run in one word: by its title, or by its id as `#5`.
//!
//! A title comes first, so that a job titled `5` is not taken for the one with the id 5. A number that is no title is the
//! id all the same, since shells take `#5` for a comment unless it is quoted. Only the usual spelling of a number is one:
//! `007` and `+5` are titles.

#[cfg(test)]
mod tests;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference<'a> {
    /// `#5`: an id.
    Id(i64),
    /// `5`: a title or, where nothing has that title, an id.
    Number(i64),
    /// Anything else: a title.
    Title(&'a str),
}

impl<'a> Reference<'a> {
    /// What `text` stands for.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        match (text.strip_prefix('#').and_then(number), number(text)) {
            (Some(id), _) => Self::Id(id),
            (None, Some(id)) => Self::Number(id),
            (None, None) => Self::Title(text),
        }
    }

    /// The id, for things that have no title: `12` or `#12`.
    #[must_use]
    pub fn id(self) -> Option<i64> {
        match self {
            Self::Id(id) | Self::Number(id) => Some(id),
            Self::Title(_) => None,
        }
    }
}

/// A positive number in its usual spelling: without a sign, a blank or a leading zero.
#[must_use]
pub fn number(text: &str) -> Option<i64> {
    let is_usual = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    is_usual.then(|| text.parse().ok()).flatten()
}
