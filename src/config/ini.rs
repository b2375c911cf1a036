//! Parser for configuration files by the rules of Python 2.7's `ConfigParser.ConfigParser`.
//!
//! Ini files written for the Python worker must mean the same here, to the byte: a secret that is cut at a `;` or a
//! `%%` that is halved locks a worker out. The rules are peculiar (only the first `;` may start a comment, an indented
//! `#` does not, keys of `DEFAULT` appear in every section, `rem` lines are ignored, `""` is the empty text), and no
//! crate implements them.
//!
//! # Why this is not the `configparser` crate
//!
//! A layer over that crate (3.3.0) was considered first. With inline comments off and multi-line values on, the crate
//! still folds the case of sections when it folds that of keys, trims the names of sections, accepts keys without a
//! delimiter or before the first section, takes a `rem` line for a key and an indented comment for a comment, puts
//! blank lines into continued values, stops at its first error, and does not report the line of a value. Inline
//! comments and interpolation would be the layer's task anyway. The layer would have to read every line before the
//! crate does, to undo all that, and would leave the crate to find the first `=`. So the parser is written out instead,
//! and tests compare it with files recorded from a real Python 2.7 (`tests/fixtures/ini`).
//!
//! One addition: every value knows its line, for messages. A file that Python refuses is still read as far as possible,
//! so that all mistakes can be reported at once; see [`Document::bad_lines`].

use std::collections::BTreeMap;

use thiserror::Error;

/// Section whose keys appear in every other section.
const DEFAULT: &str = "DEFAULT";

/// Name by which `%(__name__)s` refers to the section itself.
const NAME: &str = "__name__";

/// Rules by which a file is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `ConfigParser` of Python 2.7.
    #[default]
    Python2,
    /// `configparser` of Python 3: a comment is a line of its own, which may be indented, and `rem` begins none.
    Python3,
}

/// Fault of a line that is neither comment, section, key nor continuation.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LineFault {
    /// A key before the first section; Python's `MissingSectionHeaderError`. Nothing after this line is read.
    #[error("stands before the first section; every key stands in one")]
    BeforeSection,
    /// An indented line without a key above it; Python's `ParsingError`.
    #[error("is indented, but there is no key above it to continue; start it in the first column")]
    NothingToContinue,
    /// A line without a delimiter; Python's `ParsingError`.
    #[error("has no `=` or `:`; write `key = value`")]
    NoDelimiter,
    /// A delimiter without a key before it; Python's `ParsingError`.
    #[error("starts with `=` or `:`; write `key = value`")]
    NoKey,
}

/// Faulty line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Number of the line, from 1.
    pub line: usize,
    /// Rule that the line breaks.
    pub fault: LineFault,
}

/// Legal construct that may not be what the author meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// A key that occurs twice in a section; the last one is in force.
    DuplicateKey {
        /// Name of the key, in lower case.
        key: String,
        /// Line of the value that is ignored.
        first: usize,
        /// Line of the value in force.
        line: usize,
    },
    /// A section that is opened twice; both are one.
    DuplicateSection {
        /// Name of the section, as written.
        section: String,
        /// Line on which the section is opened again.
        line: usize,
    },
}

/// Value as it stands in the file, not yet interpolated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawValue {
    /// Text of the value; continuation lines are joined by newlines.
    pub raw: String,
    /// Line of its key, from 1.
    pub line: usize,
    /// Whether part of its first line was cut off as a comment.
    pub comment_cut: bool,
}

/// Keys and values of one section.
#[derive(Clone, Debug, Default)]
struct Section {
    line: usize,
    values: BTreeMap<String, RawValue>,
}

/// Configuration file as Python 2 would have read it.
#[derive(Clone, Debug, Default)]
pub struct Document {
    defaults: Section,
    sections: BTreeMap<String, Section>,
    /// Lines that break the rules; Python would have refused the file.
    pub bad_lines: Vec<BadLine>,
    /// Constructs that are legal but deserve a warning.
    pub oddities: Vec<Oddity>,
}

impl Document {
    /// Parses a whole text; faults are collected in `bad_lines`.
    #[cfg(test)]
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::parse_as(text, Dialect::Python2)
    }

    /// Parses a whole text by the rules of a dialect.
    #[must_use]
    pub fn parse_as(text: &str, dialect: Dialect) -> Self {
        let mut reader = Reader { document: Self::default(), section: None, key: None, dialect };
        // Python opens the file without universal newlines: only `\n` ends a line, and `\r` is a space.
        for (index, line) in text.split_inclusive('\n').enumerate() {
            if reader.read(index + 1, line.strip_suffix('\n').unwrap_or(line)).is_err() {
                break;
            }
        }
        reader.document
    }

    /// Returns the names of the sections without `DEFAULT`, each with its first line.
    pub fn sections(&self) -> impl Iterator<Item = (&str, usize)> {
        self.sections.iter().map(|(name, section)| (name.as_str(), section.line))
    }

    /// Returns whether there is such a section; names are case-sensitive.
    #[must_use]
    pub fn has_section(&self, name: &str) -> bool {
        self.sections.contains_key(name)
    }

    /// Returns the keys of the section itself, with their values.
    pub fn own_values(&self, section: &str) -> impl Iterator<Item = (&str, &RawValue)> {
        self.sections
            .get(section)
            .into_iter()
            .flat_map(|section| section.values.iter().map(|(key, value)| (key.as_str(), value)))
    }

    /// Returns the keys of the section `DEFAULT`.
    #[cfg(test)]
    pub fn default_names(&self) -> impl Iterator<Item = &str> {
        self.defaults.values.keys().map(String::as_str)
    }

    /// Returns the value of a key in a section or else in `DEFAULT`. Keys are lower case.
    #[must_use]
    pub fn value(&self, section: &str, key: &str) -> Option<&RawValue> {
        let own = self.sections.get(section)?;
        own.values.get(key).or_else(|| self.defaults.values.get(key))
    }

    /// Returns the text that `%(key)s` stands for in a section: as [`Document::value`], and the section's own name.
    #[must_use]
    pub fn reference<'a>(&'a self, section: &'a str, key: &str) -> Option<&'a str> {
        let own = self.sections.get(section)?.values.get(key).map(|value| value.raw.as_str());
        // Python stores `__name__` among the section's own keys, where an explicit key of that name replaces it.
        own.or((key == NAME).then_some(section))
            .or_else(|| self.defaults.values.get(key).map(|value| value.raw.as_str()))
    }
}

/// Signal to stop reading, after a `MissingSectionHeaderError`.
struct Stop;

struct Reader {
    document: Document,
    /// Present section: `None` before the first, `Some(None)` in `DEFAULT`.
    section: Option<Option<String>>,
    /// Key that an indented line continues.
    key: Option<String>,
    dialect: Dialect,
}

impl Reader {
    fn read(&mut self, number: usize, line: &str) -> Result<(), Stop> {
        let is_ignored = match self.dialect {
            Dialect::Python2 => is_ignored(line),
            Dialect::Python3 => {
                let text = line.trim_matches(is_space);
                text.is_empty() || text.starts_with(['#', ';'])
            }
        };
        if is_ignored {
            return Ok(());
        }
        if line.starts_with(is_space) && self.continued(line) {
            return Ok(());
        }
        if let Some(name) = header(line) {
            self.open(number, name);
            return Ok(());
        }
        if self.section.is_none() {
            self.bad(number, LineFault::BeforeSection);
            // Python raises this error at once, while it collects all others to the end of the file.
            return Err(Stop);
        }
        match split(line) {
            Ok((key, value)) => self.set(number, key, value),
            Err(fault) => self.bad(number, fault),
        }
        Ok(())
    }

    fn bad(&mut self, line: usize, fault: LineFault) {
        self.document.bad_lines.push(BadLine { line, fault });
    }

    fn open(&mut self, number: usize, name: &str) {
        // As in Python, a section that was just opened has no key that an indented line could continue.
        self.key = None;
        if name == DEFAULT {
            self.section = Some(None);
            return;
        }
        if self.document.has_section(name) {
            let section = name.to_owned();
            self.document.oddities.push(Oddity::DuplicateSection { section, line: number });
        } else {
            let section = Section { line: number, ..Section::default() };
            self.document.sections.insert(name.to_owned(), section);
        }
        self.section = Some(Some(name.to_owned()));
    }

    fn values(&mut self) -> Option<&mut BTreeMap<String, RawValue>> {
        let section = match self.section.as_ref()? {
            None => &mut self.document.defaults,
            Some(name) => self.document.sections.get_mut(name)?,
        };
        Some(&mut section.values)
    }

    fn set(&mut self, number: usize, key: &str, text: &str) {
        let key = key.to_ascii_lowercase();
        let value = match self.dialect {
            Dialect::Python2 => first_line(text, number),
            Dialect::Python3 => {
                RawValue { raw: text.trim_matches(is_space).to_owned(), line: number, comment_cut: false }
            }
        };
        let before = self.values().and_then(|values| values.insert(key.clone(), value));
        if let Some(before) = before {
            let oddity = Oddity::DuplicateKey { key: key.clone(), first: before.line, line: number };
            self.document.oddities.push(oddity);
        }
        self.key = Some(key);
    }

    /// Appends a line to the value above it; returns false if there is none. Comments are not cut from a continuation,
    /// not even a line that is nothing else.
    fn continued(&mut self, line: &str) -> bool {
        let Some(key) = self.key.clone() else {
            return false;
        };
        let Some(value) = self.values().and_then(|values| values.get_mut(&key)) else {
            return false;
        };
        value.raw.push('\n');
        value.raw.push_str(line.trim_matches(is_space));
        true
    }
}

/// Returns whether the C locale calls a character a space; any other, such as a no-break space, is text.
pub fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

fn is_ignored(line: &str) -> bool {
    let mut words = line.split(is_space).filter(|word| !word.is_empty());
    let Some(word) = words.next() else {
        return true;
    };
    // Only in the first column: an indented comment continues the value above it.
    line.starts_with(['#', ';']) || (line.starts_with(['r', 'R']) && word.eq_ignore_ascii_case("rem"))
}

/// Returns the name in a section header. Text after the bracket is ignored, and empty brackets are no header.
fn header(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix('[')?.split_once(']')?;
    (!name.is_empty()).then_some(name)
}

fn split(line: &str) -> Result<(&str, &str), LineFault> {
    if line.starts_with(is_space) {
        return Err(LineFault::NothingToContinue);
    }
    match line.find(['=', ':']) {
        None => Err(LineFault::NoDelimiter),
        Some(0) => Err(LineFault::NoKey),
        Some(at) => Ok((line[..at].trim_end_matches(is_space), &line[at + 1..])),
    }
}

fn first_line(text: &str, line: usize) -> RawValue {
    let text = text.trim_start_matches(is_space);
    let cut = comment(text);
    let kept = text[..cut.unwrap_or(text.len())].trim_matches(is_space);
    // Python's parser turns a value of just two quotes into the empty text; any other quotes are literal.
    let raw = if kept == "\"\"" { String::new() } else { kept.to_owned() };
    RawValue { raw, line, comment_cut: cut.is_some() }
}

/// Finds the start of a comment. Only the first `;` counts, and it must follow a space. If no character precedes it,
/// Python asks for the one at index -1, which is the last of the line.
fn comment(text: &str) -> Option<usize> {
    let at = text.find(';')?;
    let before = if at == 0 { text } else { &text[..at] };
    before.ends_with(is_space).then_some(at)
}
