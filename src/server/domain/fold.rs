//! Letters in any case, of every script: how titles are sought. Pure.

#[cfg(test)]
mod tests;

/// A text that is sought in others.
#[derive(Clone, Debug)]
pub struct Needle(String);

impl Needle {
    /// Blanks around the text do not count; an empty text is in every other.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(fold(text.trim()))
    }

    /// Whether a text has it in it, in any case.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_empty() || fold(text).contains(&self.0)
    }
}

/// A text without the difference of cases. By way of capitals: they join what small letters tell apart, such as ß and
/// ss, or the two forms of σ.
fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}
