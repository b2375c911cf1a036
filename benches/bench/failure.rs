//! Why there is no figure.

use std::fmt;

/// Why there is no figure, in a line.
#[derive(Debug)]
pub struct Failure(pub String);

impl Failure {
    /// A measurement that did not do what it should is none.
    pub fn unless(holds: bool, why: impl FnOnce() -> String) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self(why())) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
