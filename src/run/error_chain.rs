//! Error chains as text: an error with its causes on one line, for log fields, status answers and exit messages.

use std::error::Error;

#[cfg(test)]
mod tests;

/// Formats an error with its causes, the outermost first, separated by `: `.
///
/// A cause that an error already repeats at the end of its own message is written once.
#[must_use]
pub fn chain_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        // Some libraries put the text of the cause into their own message as well.
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = error.source();
    }
    text
}
