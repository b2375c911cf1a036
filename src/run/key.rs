//! Ids, attempts, API keys and secrets.

use std::fmt;

use super::id::id;

id! {
    /// Number that the server gives a run.
    RunId
}
id! {
    /// Number that the server gives a request to kill a run.
    KillId
}

/// Number of an attempt at a run, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt(pub u32);

impl Attempt {
    /// Attempt that every run begins with.
    pub const FIRST: Self = Self(1);

    /// Returns the attempt after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// API key that identifies a worker: 1 to 255 bytes without `:`, white space and control characters, because the key is
/// part of a request header and of a broadcast topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApiKey(String);

impl ApiKey {
    /// Checks a key.
    ///
    /// # Errors
    /// If the text is not allowed as a key; the message is a fragment that follows the key, such as `is empty`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            Err("is empty")
        } else if text.len() > 255 {
            Err("is longer than 255 bytes")
        } else if text.chars().any(|c| c == ':' || c.is_control() || c.is_whitespace()) {
            Err("contains a colon, a space or a control character")
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// Returns the key as it was configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Secret with which requests are signed. There is no `Display`, and `Debug` does not show the bytes.
#[derive(Clone)]
pub struct Secret(zeroize::Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes ownership of the bytes; they are wiped when the secret is dropped.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(zeroize::Zeroizing::new(bytes))
    }

    /// Returns the bytes, for computing signatures only.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests;
