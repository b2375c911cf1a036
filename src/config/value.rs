//! Parsers of numbers, durations, choices and paths; each error says what is allowed.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::ini::is_space;

/// Error of a text that is no valid value for its key.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what}; {allowed}")]
pub struct WrongValue {
    /// Fault of the text, as part of a sentence.
    pub what: String,
    /// Description of valid values.
    pub allowed: String,
}

impl WrongValue {
    /// Joins the two halves of the message.
    pub fn new(what: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { what: what.into(), allowed: allowed.into() }
    }
}

/// Maximum number of characters of a wrong value that are shown.
const SHOWN: usize = 60;

/// Quotes a value for a message, shortened to `SHOWN` characters.
#[must_use]
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        // Debug formatting escapes control characters, so a value cannot break the one-line rule of messages.
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

/// Parses a whole number as Python 2's `int` does: digits with an optional sign, blanks around it and after the sign.
#[must_use]
pub fn whole_number(text: &str) -> Option<i128> {
    let text = text.trim_matches(is_space);
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (if text.starts_with('-') { -1 } else { 1 }, digits.trim_start_matches(is_space)),
        None => (1, text),
    };
    // Wide enough for every `u64` with a sign; `integer` narrows the result to the type of the setting.
    let number: i128 = is_digits(digits).then(|| digits.parse().ok()).flatten()?;
    Some(sign * number)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Parses a whole number within bounds.
pub fn integer<T: TryFrom<i128>>(text: &str, range: RangeInclusive<i128>) -> Result<T, WrongValue> {
    let number = whole_number(text).filter(|number| range.contains(number));
    number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
        let (least, most) = range.into_inner();
        let allowed = format!("allowed is a whole number from {least} to {most}");
        WrongValue::new(format!("{} will not do", quoted(text)), allowed)
    })
}

/// Parses a yes or no as Python's `getboolean` does.
pub fn boolean(text: &str) -> Result<bool, WrongValue> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "on" => Ok(true),
        "0" | "no" | "false" | "off" => Ok(false),
        _ => Err(WrongValue::new(
            format!("{} is neither yes nor no", quoted(text)),
            "allowed are 1, yes, true, on, 0, no, false, off",
        )),
    }
}

/// Parses one of a few words, in any case. Several words may have the same meaning.
pub fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, WrongValue> {
    let word = text.trim();
    let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let what = format!("{} is not known", quoted(text));
        WrongValue::new(what, format!("allowed are {}", names.join(", ")))
    })
}

/// Parses seconds: digits, optionally a point and more digits. No units, exponents or signs.
pub fn seconds(text: &str, range: RangeInclusive<f64>) -> Result<Duration, WrongValue> {
    let (least, most) = range.clone().into_inner();
    let allowed = || format!("allowed are seconds from {least} to {most}, such as 30 or 0.5");
    let plain = plain_decimal(text.trim())
        .ok_or_else(|| WrongValue::new(format!("{} is no number of seconds", quoted(text)), allowed()))?;
    range
        .contains(&plain)
        .then(|| Duration::try_from_secs_f64(plain).ok())
        .flatten()
        .ok_or_else(|| WrongValue::new(format!("{} will not do", quoted(text)), allowed()))
}

fn plain_decimal(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    (is_digits(whole) && is_digits(fraction)).then(|| text.parse().ok()).flatten()
}

/// Returns whether an optional value is absent: empty or `none` in any case.
#[must_use]
pub fn is_none(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || text.eq_ignore_ascii_case("none")
}

/// Parses a value that may be absent.
pub fn optional<T>(text: &str, parse: impl FnOnce(&str) -> Result<T, WrongValue>) -> Result<Option<T>, WrongValue> {
    if is_none(text) {
        return Ok(None);
    }
    let or_none = |wrong: WrongValue| WrongValue { allowed: format!("{}, or none", wrong.allowed), ..wrong };
    parse(text).map(Some).map_err(or_none)
}

/// Parses a path, in which spaces are allowed. Relative paths start at the working directory, as in the original.
pub fn path(text: &str, working_directory: &Path) -> Result<PathBuf, WrongValue> {
    if text.is_empty() {
        Err(WrongValue::new("is empty", "allowed is a path"))
    } else if text.chars().any(char::is_control) {
        let what = format!("{} has a line break or a control character in it", quoted(text));
        Err(WrongValue::new(what, "allowed is a path on one line"))
    } else {
        Ok(working_directory.join(text))
    }
}
