//! Interpolation of `%(name)s` as in Python 2's `ConfigParser`.
//!
//! A value without `%(` is literal, including every `%`. A value with `%(` passes as a whole through Python's `%`
//! operator, repeatedly until no `%(` is left; in such a value `%%` is one percent sign and a lone `%d` is an error.
//! Only `s`, `c` and `%` can succeed: every other conversion wants a number, and a setting is text. `r`, and an `s`
//! without a name, which in Python show internals of the interpreter, are refused here.

use thiserror::Error;

/// Maximum number of rounds of interpolation; the same as in Python.
const MAX_DEPTH: usize = 10;

/// Maximum number of bytes of a result. Python has no bound, and ten rounds of a value that doubles itself would fill
/// the memory.
const MAX_LENGTH: usize = 1024 * 1024;

/// Reason why a value cannot be interpolated.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InterpolationFault {
    /// A name that is not set; Python's `InterpolationMissingOptionError`.
    #[error("refers to %({0})s, which is not set; set it in the same section or in [DEFAULT]")]
    Missing(String),
    /// A reference to itself or nested too deep; Python's `InterpolationDepthError`.
    #[error("refers to itself or nests more than 10 deep; %(name)s must end somewhere")]
    TooDeep,
    /// A conversion that does not take a text; Python's `TypeError`.
    #[error("has a `%` that is no %(name)s; where a value has %(, a literal % is written %%")]
    NotText,
    /// An incomplete or unknown conversion; Python's `ValueError`.
    #[error("has a broken `%(`; allowed is %(name)s, and %% for a literal %")]
    Broken,
    /// A dollar sign without a name in braces; Python 3's `InterpolationSyntaxError`.
    #[error("has a `$` that is no ${{name}}; a literal $ is written $$")]
    Dollar,
    /// A result beyond `MAX_LENGTH`, at which Python would have gone on.
    #[error("grows longer than 1 MB when its %(name)s are filled in")]
    TooLong,
}

/// Replaces every `%(name)s`; `lookup` is called with lower-case names.
pub fn interpolate<'a>(raw: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> Result<String, InterpolationFault> {
    let mut value = raw.to_owned();
    for _ in 0..MAX_DEPTH {
        if !value.contains("%(") {
            return Ok(value);
        }
        // The whole value passes through each round, so that a `%%` in it is halved once per round, as in Python.
        value = format(&lower_names(&value), &lookup)?;
    }
    if value.contains("%(") { Err(InterpolationFault::TooDeep) } else { Ok(value) }
}

/// Replaces every `${name}` and `${section:name}`, as Python 3's `ExtendedInterpolation` does; `$$` is one dollar sign.
/// `lookup` is called with the section, where one is named, and a lower-case name.
pub fn of_python3<'a>(
    raw: &str,
    lookup: impl Fn(Option<&str>, &str) -> Option<&'a str>,
) -> Result<String, InterpolationFault> {
    expanded(raw, &lookup, MAX_DEPTH)
}

fn expanded<'a>(
    raw: &str,
    lookup: &impl Fn(Option<&str>, &str) -> Option<&'a str>,
    depth: usize,
) -> Result<String, InterpolationFault> {
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('$') {
        value.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            value.push('$');
            rest = after;
            continue;
        }
        let named = after.strip_prefix('{').and_then(|after| after.split_once('}'));
        let (name, after) = named.ok_or(InterpolationFault::Dollar)?;
        let (section, key) = name.split_once(':').map_or((None, name), |(section, key)| (Some(section), key));
        let raw = lookup(section, &key.to_ascii_lowercase());
        let raw = raw.ok_or_else(|| InterpolationFault::Missing(name.to_owned()))?;
        let depth = depth.checked_sub(1).ok_or(InterpolationFault::TooDeep)?;
        value.push_str(&expanded(raw, lookup, depth)?);
        if value.len() > MAX_LENGTH {
            return Err(InterpolationFault::TooLong);
        }
        rest = after;
    }
    value.push_str(rest);
    Ok(value)
}

/// Lower-cases names in `%(NAME)s` alone, as Python does; `%(NAME)5s` is looked up as written.
fn lower_names(value: &str) -> String {
    let mut lowered = String::with_capacity(value.len());
    let mut at = 0;
    // The next closing parenthesis is searched once, not once for every opening before it: that would take quadratic
    // time.
    let mut close = 0;
    while let Some(open) = value[at..].find("%(").map(|found| at + found) {
        lowered.push_str(&value[at..open]);
        at = open;
        let name = open + 2;
        if close < name {
            let Some(found) = value[name..].find(')') else { break };
            close = name + found;
        }
        at = if value[close + 1..].starts_with('s') { close + 2 } else { name };
        lowered.push_str(&value[open..at].to_ascii_lowercase());
    }
    lowered.push_str(&value[at..]);
    lowered
}

/// Applies Python's `format % mapping` once.
fn format<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> Result<String, InterpolationFault> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut named = false;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let (directive, after) = Directive::parse(after)?;
        // Python reports "not enough arguments", whatever the conversion.
        if named && directive.name.is_none() && directive.conversion != '%' {
            return Err(InterpolationFault::NotText);
        }
        named |= directive.name.is_some();
        let value = match directive.name {
            Some(name) => Some(lookup(name).ok_or_else(|| InterpolationFault::Missing(name.to_owned()))?),
            None => None,
        };
        directive.write(value, &mut out)?;
        // Checked inside the loop, because one round can repeat a long value many times.
        if out.len() > MAX_LENGTH {
            return Err(InterpolationFault::TooLong);
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Conversion after a `%`: `(name)`, flags, width, precision, length and conversion character.
struct Directive<'a> {
    name: Option<&'a str>,
    left: bool,
    width: usize,
    precision: Option<usize>,
    conversion: char,
}

impl<'a> Directive<'a> {
    fn parse(text: &'a str) -> Result<(Self, &'a str), InterpolationFault> {
        let (name, text) = match text.strip_prefix('(') {
            Some(text) => {
                let end = closing(text).ok_or(InterpolationFault::Broken)?;
                (Some(&text[..end]), &text[end + 1..])
            }
            None => (None, text),
        };
        let after = text.trim_start_matches(['-', '+', ' ', '#', '0']);
        let left = text[..text.len() - after.len()].contains('-');
        let (width, text) = number(after)?;
        let (precision, text) = match text.strip_prefix('.') {
            Some(text) => number(text).map(|(digits, text)| (Some(digits), text))?,
            None => (None, text),
        };
        // Python accepts the length modifiers of C and ignores them.
        let text = text.strip_prefix(['h', 'l', 'L']).unwrap_or(text);
        let conversion = text.chars().next().ok_or(InterpolationFault::Broken)?;
        let rest = &text[conversion.len_utf8()..];
        Ok((Self { name, left, width, precision, conversion }, rest))
    }

    fn write(&self, value: Option<&str>, out: &mut String) -> Result<(), InterpolationFault> {
        let text = match (self.conversion, value) {
            ('%', _) => "%",
            ('s', Some(value)) => match self.precision {
                Some(most) => value.char_indices().nth(most).map_or(value, |(at, _)| &value[..at]),
                None => value,
            },
            ('c', Some(value)) if value.chars().count() == 1 => value,
            ('s' | 'r' | 'c' | 'd' | 'i' | 'u' | 'o' | 'x' | 'X', _) | ('e' | 'E' | 'f' | 'F' | 'g' | 'G', _) => {
                return Err(InterpolationFault::NotText);
            }
            _ => return Err(InterpolationFault::Broken),
        };
        let padding = self.width.saturating_sub(text.chars().count());
        if self.left {
            out.push_str(text);
        }
        out.extend(std::iter::repeat_n(' ', padding));
        if !self.left {
            out.push_str(text);
        }
        Ok(())
    }
}

/// Returns the index of the closing parenthesis; inner pairs belong to the name.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    for (at, c) in text.char_indices() {
        match c {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

/// Parses a width or a precision. `*` would take a number from the mapping, which holds only texts.
fn number(text: &str) -> Result<(usize, &str), InterpolationFault> {
    if text.starts_with('*') {
        return Err(InterpolationFault::NotText);
    }
    let after = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &text[..text.len() - after.len()];
    let number = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| InterpolationFault::Broken)? };
    if number > MAX_LENGTH { Err(InterpolationFault::TooLong) } else { Ok((number, after)) }
}
