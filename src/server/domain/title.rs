//! Titles: the names that people give to projects, pools, templates, jobs and workers. Pure.

use std::fmt;
use std::ops::Deref;

use crate::wire::reference;

#[cfg(test)]
mod tests;

/// Longest title, in characters, as with the original.
pub const MOST_CHARACTERS: usize = 255;

/// Title of a project, pool, template, job or worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title(String);

/// Rule that a title breaks; the message names what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TitleViolation {
    /// The title is empty, too long, or not on one line.
    #[error("a title has 1 to {MOST_CHARACTERS} characters on one line")]
    Form,
    /// No path of an address can hold the title, or it would be read as an id.
    #[error("{0:?} is no title: a path ends at . and .., and # with a number is an id")]
    Reserved(String),
    /// The title has a character that changes the direction of others.
    #[error("a title has no character that controls the direction of others, such as U+{0:04X}")]
    Direction(u32),
}

impl Title {
    /// Parses a title as somebody typed it; blanks around it are dropped.
    ///
    /// # Errors
    /// If the title is empty, too long or reserved, or has characters that are not allowed.
    pub fn new(text: &str) -> Result<Self, TitleViolation> {
        let text = text.trim();
        let length = text.chars().count();
        if let Some(character) = text.chars().find(|c| controls_direction(*c)) {
            return Err(TitleViolation::Direction(character.into()));
        }
        // The paths of web pages cannot hold `.` and `..`, and `#` with a number is read as an id.
        if matches!(text, "." | "..") || text.strip_prefix('#').is_some_and(|id| reference::number(id).is_some()) {
            return Err(TitleViolation::Reserved(text.to_owned()));
        }
        let is_one = (1..=MOST_CHARACTERS).contains(&length) && !text.chars().any(char::is_control);
        if is_one { Ok(Self(text.to_owned())) } else { Err(TitleViolation::Form) }
    }

    /// Takes a title that the program itself gives.
    #[must_use]
    pub fn fixed(text: &'static str) -> Self {
        debug_assert!(Self::new(text).is_ok_and(|title| title.0 == text), "{text:?} is no title");
        Self(text.to_owned())
    }

    /// Takes a title from the store as it is: one from the original's database or an earlier version may break rules
    /// that came later, and stays until somebody changes it.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// Returns the text of the title.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Title {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Title> for String {
    fn from(title: Title) -> Self {
        title.0
    }
}

/// Returns whether a character is there to change the direction of others, so that a text reads as what it is not.
#[must_use]
pub fn controls_direction(character: char) -> bool {
    // Unicode's property `Bidi_Control`.
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
