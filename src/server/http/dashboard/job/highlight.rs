//! Syntax highlighting: splits scripts and templates into tokens that are shown in different colours. Pure.
//!
//! The rules are what shells, Python and similar languages have in common: comments, strings, variables, some keywords
//! – and the tags of templates. A colour may be wrong now and then, but the tokens put together are always the text.

#[cfg(test)]
mod tests;

/// Number of lines after which a string is given up: an apostrophe in a text must not colour all that follows.
const STRING_LINES: usize = 12;

/// Kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Text without a colour of its own.
    Plain,
    /// First line, if it names the interpreter.
    Shebang,
    /// Comment up to the end of its line.
    Comment,
    /// String with its quotes.
    Quoted,
    /// Variable of a shell, with its dollar sign.
    Variable,
    /// Keyword of one of the languages.
    Word,
    /// Tag of a template, also inside comments and strings.
    Tag,
}

impl TokenKind {
    /// Class in the style sheet; `None` for plain text.
    #[must_use]
    pub fn class(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Shebang => Some("shebang"),
            Self::Comment => Some("comment"),
            Self::Quoted => Some("quoted"),
            Self::Variable => Some("variable"),
            Self::Word => Some("word"),
            Self::Tag => Some("tag"),
        }
    }
}

/// Token: its kind and its text.
pub type HighlightedText<'a> = (TokenKind, &'a str);

const WORDS: &[&str] = &[
    "and", "as", "async", "await", "break", "case", "class", "continue", "def", "do", "done", "elif", "else", "esac",
    "except", "exit", "export", "fi", "finally", "for", "from", "function", "if", "import", "in", "is", "lambda",
    "local", "my", "not", "or", "pass", "raise", "return", "set", "sub", "then", "try", "until", "use", "while",
    "with", "yield",
];

/// Splits a text into tokens, in order; put together they are the text.
#[must_use]
pub fn tokens(text: &str) -> Vec<HighlightedText<'_>> {
    let mut reader = Reader { text, at: 0, plain: 0, tokens: Vec::new() };
    if text.starts_with("#!") {
        reader.take(TokenKind::Shebang, line_end(text, 0));
    }
    while let Some(c) = reader.text[reader.at..].chars().next() {
        reader.step(c);
    }
    reader.flush();
    reader.tokens
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Position at which the plain text before `at` begins.
    plain: usize,
    tokens: Vec<HighlightedText<'a>>,
}

impl<'a> Reader<'a> {
    fn step(&mut self, c: char) {
        let rest = &self.text[self.at..];
        // Tags come first: the template engine knows nothing of strings and comments.
        if let Some(length) = tag(rest) {
            return self.take(TokenKind::Tag, self.at + length);
        }
        match c {
            '#' if self.begins_word() => self.take_with_tags(TokenKind::Comment, line_end(self.text, self.at)),
            // A quote that does not end soon is plain, most likely an apostrophe.
            '"' | '\'' => match string(rest, c) {
                Some(length) => self.take_with_tags(TokenKind::Quoted, self.at + length),
                None => self.at += 1,
            },
            // A backslash and the character after it are plain, so that `\"` begins no string.
            '\\' => self.at += 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '$' => match variable(rest) {
                0 => self.at += 1,
                length => self.take(TokenKind::Variable, self.at + length),
            },
            c if is_word(c) => {
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                if WORDS.contains(&&rest[..length]) && self.begins_word() {
                    self.take(TokenKind::Word, self.at + length);
                } else {
                    self.at += length;
                }
            }
            c => self.at += c.len_utf8(),
        }
    }

    /// Whether white space or the end of a command comes before, so that `a#b` is no comment and `file.in` no keyword.
    fn begins_word(&self) -> bool {
        self.text[..self.at].chars().next_back().is_none_or(|c| c.is_whitespace() || ";|&(){}`".contains(c))
    }

    fn flush(&mut self) {
        if self.plain < self.at {
            self.tokens.push((TokenKind::Plain, &self.text[self.plain..self.at]));
        }
        self.plain = self.at;
    }

    fn take(&mut self, kind: TokenKind, end: usize) {
        self.flush();
        if self.at < end {
            self.tokens.push((kind, &self.text[self.at..end]));
        }
        (self.at, self.plain) = (end, end);
    }

    /// Takes a token apart from the tags in it: templates are filled in wherever their tags stand.
    fn take_with_tags(&mut self, kind: TokenKind, end: usize) {
        while self.at < end {
            let inner = &self.text[self.at..end];
            let found = inner.match_indices('{').find_map(|(at, _)| Some((at, tag(&inner[at..])?)));
            let Some((before, length)) = found else { break };
            let from = self.at + before;
            self.take(kind, from);
            self.take(TokenKind::Tag, from + length);
        }
        self.take(kind, end);
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_end(text: &str, from: usize) -> usize {
    text[from..].find('\n').map_or(text.len(), |length| from + length)
}

/// Length in bytes of the tag at the beginning of the text.
fn tag(text: &str) -> Option<usize> {
    let close = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")].into_iter().find(|(open, _)| text.starts_with(open))?.1;
    // A tag stands on one line; an opening without its end on that line is something else.
    let line = &text[..line_end(text, 0)];
    // In `{%}` the end would share its sign with the beginning.
    line.find(close).filter(|at| *at >= 2).map(|at| at + close.len())
}

/// Length in bytes of the string at the beginning of the text. In single quotes a backslash has no meaning, as in a
/// shell.
fn string(text: &str, quote: char) -> Option<usize> {
    let triple = [quote, quote, quote].iter().collect::<String>();
    if text.starts_with(&triple) {
        return text[3..].find(&triple).map(|at| at + 6);
    }
    let mut lines = 0;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quote == '"',
            '\n' => lines += 1,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
        if lines >= STRING_LINES {
            return None;
        }
    }
    None
}

/// Length in bytes of the variable at the beginning of the text; 0 if there is none.
fn variable(text: &str) -> usize {
    let rest = &text[1..];
    let name = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    match rest.chars().next() {
        Some('{') => rest[..line_end(rest, 0)].find('}').map_or(0, |at| at + 2),
        Some(c) if is_word(c) => 1 + name,
        Some('#' | '?' | '@' | '*' | '!' | '$') => 2,
        _ => 0,
    }
}
