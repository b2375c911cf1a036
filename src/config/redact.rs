//! Secrets that are masked in the output of jobs: the worker's own secret, the values of variables that are named like
//! secrets, and the lines of a file.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::file;
use super::value::{WrongValue, quoted};
use crate::run::Secret;

/// Fewest bytes of a secret; shorter ones would be found in harmless words.
const LEAST: usize = 6;
/// Maximum number of bytes of a secret, which bounds how much output is held back.
const MOST: usize = 4096;
/// Maximum number of bytes of all secrets together: they travel in one packet, with the order to execute a run.
const ALL: usize = 16 * 1024;

/// Candidate for a secret, with its name for messages.
#[derive(Clone)]
pub struct Named {
    name: String,
    value: Vec<u8>,
}

impl Named {
    /// Creates a candidate from its name and value.
    pub fn new(name: impl Into<String>, value: &[u8]) -> Self {
        Self { name: name.into(), value: value.to_vec() }
    }
}

/// Parses a comma-separated list of names of variables, in which `*` stands for any letters. Upper and lower case are
/// the same.
pub fn names(text: &str) -> Result<Vec<String>, WrongValue> {
    let allowed = "allowed are names of environment variables with * for any letters, such as *_TOKEN, separated by \
                   commas, or none";
    let name = |name: &str| {
        let name = name.trim();
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.chars().all(|c| letters(c) || c == '*') && name.chars().any(letters) {
            Ok(name.to_ascii_uppercase())
        } else {
            Err(WrongValue::new(format!("{} names no variable", quoted(name)), allowed))
        }
    };
    text.split(',').map(name).collect()
}

/// Returns the values of all variables whose names match one of the patterns.
pub fn of_environment(names: &[String], environment: &[(OsString, OsString)]) -> Vec<Named> {
    let meant = environment.iter().filter(|(name, _)| {
        let name = name.as_bytes().to_ascii_uppercase();
        // Case is folded on both sides: `names` stores patterns in capitals.
        names.iter().any(|pattern| matches(pattern.as_bytes(), &name))
    });
    meant.flat_map(|(name, value)| each_line(&name.to_string_lossy(), value.as_bytes())).collect()
}

/// Matches a name against a pattern as in glob(7), with `*` only.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skipped| matches(rest, &name[skipped..])),
        Some((letter, rest)) => name.first() == Some(letter) && matches(rest, &name[1..]),
    }
}

/// Reads a file with one secret per line. Returns also whether others can read it.
pub fn lines(path: &Path) -> Result<(Vec<Named>, bool), file::UnreadableFile> {
    let content = file::read(path)?;
    Ok((each_line(&path.display().to_string(), &content.bytes), content.exposed))
}

/// Splits a value into lines, each a secret of its own: a key of several lines is rarely printed exactly as it is.
fn each_line(name: &str, value: &[u8]) -> Vec<Named> {
    let lines = value.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty());
    lines.map(|line| Named::new(name, line)).collect()
}

/// Selects the secrets that can be searched for, without duplicates, and returns messages about the others, which never
/// contain their values.
pub fn usable(all: impl IntoIterator<Item = Named>) -> (Vec<Secret>, Vec<String>) {
    let mut secrets: Vec<Secret> = Vec::new();
    let mut ignored = Vec::new();
    let mut room = ALL;
    for Named { name, value } in all {
        let why = if value.len() < LEAST {
            format!("is shorter than {LEAST} bytes")
        } else if value.len() > MOST {
            format!("is longer than {MOST} bytes")
        // Duplicates are dropped before the size is counted; the same secret often has several names.
        } else if secrets.iter().any(|secret| secret.expose() == value) {
            continue;
        } else if value.len() > room {
            format!("is one too many: all secrets together may have {ALL} bytes")
        } else {
            room -= value.len();
            secrets.push(Secret::new(value));
            continue;
        };
        let what = format!("{name} {why} and is not taken out of the output of jobs");
        // A value of many lines would repeat the same message for each of them.
        if !ignored.contains(&what) {
            ignored.push(what);
        }
    }
    (secrets, ignored)
}
