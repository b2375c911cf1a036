//! Scripts: reads a job's content and finds the interpreter in its first line. A [`Script`] always has an interpreter.
//!
//! The rules are the original's, except that no data is lost: the first line is split as Python's `shlex.split` does,
//! without comments, the file's path is appended, and the file needs no execute permission. A carriage return is
//! dropped only before a line feed, a byte order mark only at the beginning.

#[cfg(test)]
mod tests;

/// Longest first line that is accepted, in bytes.
pub const MAX_SHEBANG: usize = 4096;

/// Longest script that is accepted, in bytes.
pub const MAX_SCRIPT: usize = 16 * 1024 * 1024;

/// Script that can be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    interpreter: Vec<String>,
    body: String,
}

/// Reason why a text cannot be executed. Each message is a whole sentence, because it is the log of the failed run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptDefect {
    /// The first line does not begin with `#!`; at most 200 characters of it are repeated.
    #[error("The first line of the job to run needs to start with a shebang (#!). The current first line is: \"{0}\"")]
    NoShebang(String),
    /// The script has more than [`MAX_SCRIPT`] bytes.
    #[error("The script is {0} bytes long; at most 16777216 are allowed.")]
    TooMuch(usize),
    /// The first line has nothing, or an empty word, after `#!`.
    #[error("The first line names an empty interpreter.")]
    EmptyInterpreter,
    /// The first line has more than [`MAX_SHEBANG`] bytes.
    #[error("The first line is {0} bytes long; at most 4096 are allowed.")]
    TooLong(usize),
    /// The first line opens a quotation and does not close it.
    #[error("The first line has a quotation without an end: \"{0}\"")]
    OpenQuotation(String),
    /// The first line ends in a backslash.
    #[error("The first line ends in a backslash: \"{0}\"")]
    OpenEscape(String),
    /// The first line contains a NUL, which no argument of a process can carry.
    #[error("The first line contains a NUL character.")]
    Nul,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// If the text cannot be executed; the message is one clear sentence for the log of the failed run.
    pub fn parse(content: &str) -> Result<Self, ScriptDefect> {
        // Checked first, because the steps after it copy the text.
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

    /// Returns the command that is executed with the file's path as its last argument; never empty.
    #[must_use]
    pub fn interpreter(&self) -> &[String] {
        &self.interpreter
    }

    /// Returns the content of the script's file, with line feeds for line ends and without a byte order mark.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }
}

/// Element that a command line leaves open at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenQuote {
    /// A quotation without its closing quote.
    Quotation,
    /// A backslash without a character after it.
    Escape,
}

/// Splits a line as Python's `shlex.split(text)` does: POSIX rules, no comments, no expansion.
///
/// # Errors
/// If a quotation or a backslash is left open at the end.
pub fn split(text: &str) -> Result<Vec<String>, OpenQuote> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(chars.next().ok_or(OpenQuote::Escape)?),
            // As in Python, even an empty pair of quotes makes a word.
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

/// Reads up to the closing double quote. Inside, a backslash escapes only the quote and itself; elsewhere it stays.
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
