//! The id of a state directory: what tells two workers apart that use one key.

use std::fmt;

#[cfg(test)]
mod tests;

/// How many hexadecimal digits an id has.
const DIGITS: usize = 32;

/// The id of a state directory. A worker keeps it through restarts and upgrades; a new directory is a new instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Instance(String);

impl Instance {
    /// The instance of a number that was drawn at random.
    #[must_use]
    pub fn of_number(number: u128) -> Self {
        Self(format!("{number:032x}"))
    }

    /// Reads an id: 32 digits, in lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == DIGITS && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
