//! Search for titles without regard to case, in every script. Pure.

#[cfg(test)]
mod tests;

/// A text to search for in others, without regard to case.
#[derive(Clone, Debug)]
pub struct TitleSearch(String);

impl TitleSearch {
    /// Prepares a text: blanks around it do not count, and an empty text is contained in every other.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(fold(text.trim()))
    }

    /// Returns whether a text contains this one, in any case.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_empty() || fold(text).contains(&self.0)
    }
}

/// Folds case. By way of capitals, because they unify small letters that differ, such as ß and ss, or the two
/// forms of σ.
fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}
