//! Reads text by the rules of Python 2.7's `ConfigParser.ConfigParser`.
//!
//! Ini files that were written for the Python worker must mean the same here, to the byte: a secret
//! that is cut at a `;` or a `%%` that is halved locks a worker out. The rules are peculiar (the
//! first `;` alone may start a comment, an indented `#` does not, `DEFAULT` shines through, `rem`
//! lines are ignored, `""` is the empty text), and no crate has them.
//!
//! # Why this is not the `configparser` crate
//!
//! It was meant to be that crate (3.3.0) under a layer for what Python 2 does differently. With inline
//! comments off and multi-line values on, the crate still folds the case of sections when it folds that of
//! keys, trims the names of sections, accepts keys without a delimiter or before the first section, takes a
//! `rem` line for a key and an indented comment for a comment, puts blank lines into continued values, stops
//! at its first error, and tells nobody on which line a value stood. Inline comments and interpolation would
//! be the layer's anyway. So the layer would have to read every line before the crate does, to undo all
//! that, and what is left for the crate is finding the first `=`. The parser is written out instead, and
//! files recorded from a real Python 2.7 (`tests/fixtures/ini`) hold it to its word.
//!
//! One addition: every value knows its line, for the messages. What Python refuses to read at all is still
//! read as far as it goes, so that all mistakes can be told at once; see [`Document::bad_lines`].

use std::collections::BTreeMap;

use thiserror::Error;

/// The section whose keys every other section sees.
const DEFAULT: &str = "DEFAULT";

/// What `%(__name__)s` refers to.
const NAME: &str = "__name__";

/// A line that is neither comment, section, key nor continuation.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LineFault {
    /// Python: `MissingSectionHeaderError`. Nothing after this line is read.
    #[error("stands before the first section; every key stands in one")]
    BeforeSection,
    /// Python: `ParsingError`.
    #[error("is indented, but there is no key above it to continue; start it in the first column")]
    NothingToContinue,
    /// Python: `ParsingError`.
    #[error("has no `=` or `:`; write `key = value`")]
    NoDelimiter,
    /// Python: `ParsingError`.
    #[error("starts with `=` or `:`; write `key = value`")]
    NoKey,
}

/// A fault and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: LineFault,
}

/// What is legal, and yet may not be what its writer meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// A key that stands twice in a section; the last one counts.
    DuplicateKey {
        /// The key.
        key: String,
        /// The line that lost.
        first: usize,
        /// The line that counts.
        line: usize,
    },
    /// A section that is opened twice; both are one.
    DuplicateSection {
        /// Its name.
        section: String,
        /// Where it is opened again.
        line: usize,
    },
}

/// One value as it stands in the file, not yet interpolated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawValue {
    /// The text; continuation lines are joined by newlines.
    pub raw: String,
    /// Where its key stands, from 1.
    pub line: usize,
    /// Whether a part of its first line was taken for a comment.
    pub comment_cut: bool,
}

/// The keys of one section.
#[derive(Clone, Debug, Default)]
struct Section {
    line: usize,
    values: BTreeMap<String, RawValue>,
}

/// A file as Python 2 would have read it.
#[derive(Clone, Debug, Default)]
pub struct Document {
    defaults: Section,
    sections: BTreeMap<String, Section>,
    /// All lines that make no sense; Python would have refused the file.
    pub bad_lines: Vec<BadLine>,
    /// Legal, but worth a word.
    pub oddities: Vec<Oddity>,
}

impl Document {
    /// Reads all of the text; what is wrong with it stands in `bad_lines`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut reader = Reader { document: Self::default(), section: None, key: None };
        // Python opens the file without universal newlines: `\n` alone ends a line, `\r` is a space.
        for (index, line) in text.split_inclusive('\n').enumerate() {
            if reader.read(index + 1, line.strip_suffix('\n').unwrap_or(line)).is_err() {
                break;
            }
        }
        reader.document
    }

    /// The names of the sections, without `DEFAULT`, each with its first line.
    pub fn sections(&self) -> impl Iterator<Item = (&str, usize)> {
        self.sections.iter().map(|(name, section)| (name.as_str(), section.line))
    }

    /// Whether the section is there; names are case-sensitive.
    #[must_use]
    pub fn has_section(&self, name: &str) -> bool {
        self.sections.contains_key(name)
    }

    /// The keys that stand in the section itself, with their values.
    pub fn own_values(&self, section: &str) -> impl Iterator<Item = (&str, &RawValue)> {
        self.sections
            .get(section)
            .into_iter()
            .flat_map(|section| section.values.iter().map(|(key, value)| (key.as_str(), value)))
    }

    /// The keys that stand in `DEFAULT`.
    #[cfg(test)]
    pub fn default_names(&self) -> impl Iterator<Item = &str> {
        self.defaults.values.keys().map(String::as_str)
    }

    /// The value of a key in a section or, failing that, in `DEFAULT`. Keys are lower case.
    #[must_use]
    pub fn value(&self, section: &str, key: &str) -> Option<&RawValue> {
        let own = self.sections.get(section)?;
        own.values.get(key).or_else(|| self.defaults.values.get(key))
    }

    /// What `%(key)s` stands for in a section: as [`Document::value`], and the section's own name.
    #[must_use]
    pub fn reference<'a>(&'a self, section: &'a str, key: &str) -> Option<&'a str> {
        let own = self.sections.get(section)?.values.get(key).map(|value| value.raw.as_str());
        own.or((key == NAME).then_some(section))
            .or_else(|| self.defaults.values.get(key).map(|value| value.raw.as_str()))
    }
}

/// `MissingSectionHeaderError`: reading ends here.
struct Stop;

struct Reader {
    document: Document,
    /// `None` before the first section; `Some(None)` in `DEFAULT`.
    section: Option<Option<String>>,
    /// The key that an indented line continues.
    key: Option<String>,
}

impl Reader {
    fn read(&mut self, number: usize, line: &str) -> Result<(), Stop> {
        if is_ignored(line) {
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
        let value = first_line(text, number);
        let before = self.values().and_then(|values| values.insert(key.clone(), value));
        if let Some(before) = before {
            let oddity = Oddity::DuplicateKey { key: key.clone(), first: before.line, line: number };
            self.document.oddities.push(oddity);
        }
        self.key = Some(key);
    }

    /// Comments are not cut from a continuation, not even a whole line of one.
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

/// What the C locale calls a space; anything else, such as a no-break space, is text.
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

/// What follows the bracket is ignored, and so is a bracket with nothing in it.
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
    let raw = if kept == "\"\"" { String::new() } else { kept.to_owned() };
    RawValue { raw, line, comment_cut: cut.is_some() }
}

/// Only the first `;` is looked at, and it must follow a space. Python asks for the character at
/// index -1 when there is none before it, which is the last one of the line.
fn comment(text: &str) -> Option<usize> {
    let at = text.find(';')?;
    let before = if at == 0 { text } else { &text[..at] };
    before.ends_with(is_space).then_some(at)
}
