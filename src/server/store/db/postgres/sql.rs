//! Rewriting of the store's SQL, which is said once and for both engines: the places of values get PostgreSQL's names, and
//! hints to SQLite's planner go.

#[cfg(test)]
mod tests;

/// A statement as PostgreSQL takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// Text of the statement.
    pub text: String,
    /// Tables that it may write.
    pub writes: Writes,
}

/// Tables that a statement may write, as far as its text tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writes {
    /// No table, because it reads.
    Nothing,
    /// No other table than this one.
    Table(String),
    /// Any table: a deletion takes rows of other tables along.
    Any,
}

impl Writes {
    /// Returns whether the answer to a question may be another one after the statement.
    #[must_use]
    pub fn concern(&self, question: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Table(table) => names(question, table),
            Self::Any => true,
        }
    }

    /// Adds what a word does that begins a statement, or a part of one.
    fn add(&mut self, word: &str, rest: &str) {
        let table = match word {
            "INSERT" => rest.trim_start().strip_prefix("INTO").map(str::trim_start),
            "UPDATE" => Some(rest.trim_start()),
            "DELETE" => None,
            _ => return,
        };
        let table = table.map(|table| &table[..self::word(table)]);
        *self = match (&*self, table) {
            // An insertion that updates the row that is there, of the same table.
            (Self::Table(_), Some("SET")) => return,
            (Self::Nothing, Some(table)) if !table.is_empty() => Self::Table(table.to_owned()),
            _ => Self::Any,
        };
    }
}

/// Returns whether a name occurs in a text as a whole word.
fn names(text: &str, name: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
}

/// Rewrites a statement: `?` and `?N` become `$1`, `$2`, … by SQLite's rule, by which a `?` counts on from the highest
/// number before it; `INDEXED BY name` and `NOT INDEXED` are left out. What stands in quotes or in a comment stays.
#[must_use]
pub fn rewrite(sql: &str) -> Rewritten {
    let mut text = String::with_capacity(sql.len() + 16);
    let (mut rest, mut highest) = (sql, 0);
    let mut writes = Writes::Nothing;
    while let Some(first) = rest.chars().next() {
        if let Some(length) = verbatim(rest) {
            text.push_str(&rest[..length]);
            rest = &rest[length..];
        } else if first == '?' {
            rest = &rest[1..];
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            // A number too long for SQLite is none that a statement says.
            let number = rest[..digits].parse().unwrap_or(highest + 1);
            highest = highest.max(number);
            text.push('$');
            text.push_str(&number.to_string());
            rest = &rest[digits..];
        } else if first.is_alphanumeric() || first == '_' {
            let length = word(rest);
            if let Some(hint) = hint(rest) {
                rest = &rest[hint..];
                continue;
            }
            writes.add(&rest[..length], &rest[length..]);
            text.push_str(&rest[..length]);
            rest = &rest[length..];
        } else {
            text.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    Rewritten { text, writes }
}

/// Returns the length of the quotation or comment at the beginning of a text; what is not closed goes to the end.
fn verbatim(text: &str) -> Option<usize> {
    let ended_by = |from: usize, end: &str| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    // A doubled quote ends one quotation and begins the next.
    match text.as_bytes() {
        [b'\'', ..] => Some(ended_by(1, "'")),
        [b'"', ..] => Some(ended_by(1, "\"")),
        [b'-', b'-', ..] => Some(ended_by(2, "\n")),
        [b'/', b'*', ..] => Some(ended_by(2, "*/")),
        _ => None,
    }
}

/// Returns the length of the word at the beginning of a text.
fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// Returns the length of the hint to SQLite's planner at the beginning of a text.
fn hint(text: &str) -> Option<usize> {
    let after = |text: &str, word: &str| {
        let rest = text.strip_prefix(word)?;
        let spaces = rest.len() - rest.trim_start().len();
        (spaces > 0).then_some(word.len() + spaces)
    };
    if let Some(by) = after(text, "INDEXED")
        && let Some(name) = after(&text[by..], "BY")
    {
        return Some(by + name + word(&text[by + name..]));
    }
    let not = after(text, "NOT")?;
    let rest = &text[not..];
    (rest.starts_with("INDEXED") && word(rest) == "INDEXED".len()).then_some(not + "INDEXED".len())
}
