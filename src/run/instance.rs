//! Instance ids: each state directory has one, which tells workers apart that share an API key.

use std::fmt;

#[cfg(test)]
mod tests;

/// Length of an id in hexadecimal digits.
const DIGITS: usize = 32;

/// Id of a state directory. A worker keeps it through restarts and upgrades; a new directory is a new instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Instance(String);

impl Instance {
    /// Returns the instance of a number, which the caller draws at random.
    #[must_use]
    pub fn of_number(number: u128) -> Self {
        Self(format!("{number:032x}"))
    }

    /// Reads an id: exactly 32 hexadecimal digits in lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == DIGITS && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// Returns the id as text, as it is sent in the request header and written to disk.
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
