//! A script, as it is executed: a `Script` that exists has an interpreter.
//!
//! The rules are the original's, less its data losses: the first line is split as Python's
//! `shlex.split` does (comments off), the file's path is appended, and the file needs no x bit. A
//! carriage return is dropped only before a line feed, a byte order mark only at the beginning.

#[cfg(test)]
mod tests;

/// The longest first line that is taken for a command.
pub const MAX_SHEBANG: usize = 4096;

/// The longest script that is executed, in bytes.
pub const MAX_SCRIPT: usize = 16 * 1024 * 1024;

/// What can be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    interpreter: Vec<String>,
    body: String,
}

/// Why a text cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptDefect {
    /// The first line is none.
    #[error("The first line of the job to run needs to start with a shebang (#!). The current first line is: \"{0}\"")]
    NoShebang(String),
    /// More than anybody writes.
    #[error("The script is {0} bytes long; at most 16777216 are allowed.")]
    TooMuch(usize),
    /// `#!` and nothing behind it.
    #[error("The first line names an empty interpreter.")]
    EmptyInterpreter,
    /// A first line that no command has.
    #[error("The first line is {0} bytes long; at most 4096 are allowed.")]
    TooLong(usize),
    /// A quotation that never ends.
    #[error("The first line has a quotation without an end: \"{0}\"")]
    OpenQuotation(String),
    /// A backslash at its end.
    #[error("The first line ends in a backslash: \"{0}\"")]
    OpenEscape(String),
    /// A NUL, which no argument can carry.
    #[error("The first line contains a NUL character.")]
    Nul,
}

impl Script {
    /// # Errors
    /// One clear sentence for the log of the failed run.
    pub fn parse(content: &str) -> Result<Self, ScriptDefect> {
        if content.len() > MAX_SCRIPT {
            return Err(ScriptDefect::TooMuch(content.len()));
        }
        let content = content.strip_prefix('\u{feff}').unwrap_or(content);
        let body = content.replace("\r\n", "\n");
        let first = body.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let Some(command) = first.strip_prefix("#!") else {
            return Err(ScriptDefect::NoShebang(first.chars().take(200).collect()));
        };
        if first.len() > MAX_SHEBANG {
            return Err(ScriptDefect::TooLong(first.len()));
        }
        if first.contains('\0') {
            return Err(ScriptDefect::Nul);
        }
        let interpreter = split(command).map_err(|open| match open {
            OpenQuote::Quotation => ScriptDefect::OpenQuotation(first.to_owned()),
            OpenQuote::Escape => ScriptDefect::OpenEscape(first.to_owned()),
        })?;
        if interpreter.first().is_none_or(String::is_empty) {
            return Err(ScriptDefect::EmptyInterpreter);
        }
        Ok(Self { interpreter, body })
    }

    /// The command that is executed with the file's path as its last argument; never empty.
    #[must_use]
    pub fn interpreter(&self) -> &[String] {
        &self.interpreter
    }

    /// What stands in the file.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }
}

/// What a command line leaves open at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenQuote {
    /// A quotation.
    Quotation,
    /// A backslash.
    Escape,
}

/// Splits as Python's `shlex.split(text)` does: POSIX rules, no comments, no expansion.
///
/// # Errors
/// What the text leaves open.
pub fn split(text: &str) -> Result<Vec<String>, OpenQuote> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(chars.next().ok_or(OpenQuote::Escape)?),
            '\'' => quoted_plainly(&mut chars, word.get_or_insert_default())?,
            '"' => quoted(&mut chars, word.get_or_insert_default())?,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted_plainly(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), OpenQuote> {
    loop {
        match chars.next().ok_or(OpenQuote::Quotation)? {
            '\'' => return Ok(()),
            c => word.push(c),
        }
    }
}

/// Between double quotes a backslash escapes the quote and itself alone; elsewhere it stays.
fn quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), OpenQuote> {
    loop {
        match chars.next().ok_or(OpenQuote::Quotation)? {
            '"' => return Ok(()),
            '\\' => match chars.next().ok_or(OpenQuote::Escape)? {
                c @ ('"' | '\\') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}
