//! The tags of a template, found as the original finds them: what begins and ends on one line. Pure.

use std::borrow::Cow;

/// What begins a block for the engine, and a value, and a comment, and what ends each: with characters that Unicode keeps
/// out of every text.
pub(super) const OPEN: &str = "\u{FDD0}%";
pub(super) const PRINT: &str = "\u{FDD0}{";
pub(super) const COMMENT: &str = "\u{FDD0}#";
pub(super) const CLOSE: &str = "\u{FDD1}";
/// The characters of these.
const RESERVED: [char; 2] = ['\u{FDD0}', '\u{FDD1}'];
/// The longest tag, in bytes.
const MAX_TAG: usize = 1000;
/// How deep blocks may be nested.
const MAX_DEPTH: usize = 50;
/// The blocks that there are.
const BLOCKS: [&str; 4] = ["if", "for", "with", "autoescape"];
/// Blocks whose inside is text, and those whose inside is nothing.
const VERBATIM: [&str; 2] = ["verbatim", "raw"];
const COMMENTED: &str = "comment";
/// What makes long values out of short ones.
const OPERATORS: [char; 7] = ['~', '*', '+', '[', ']', '{', '}'];

/// A template for the engine, with its delimiters for those of the original.
pub(super) fn to_jinja(body: &str) -> Result<String, String> {
    if let Some(reserved) = body.chars().find(|c| RESERVED.contains(c)) {
        return Err(format!("the character {} cannot be used", reserved.escape_unicode()));
    }
    let (mut jinja, mut rest, mut depth) = (String::with_capacity(body.len()), body, 0);
    while let Some((text, tag, after)) = next_tag(rest) {
        jinja.push_str(text);
        rest = after;
        match tag {
            Tag::Comment => {}
            Tag::Value(inside) => {
                allowed(inside)?;
                jinja.extend([PRINT, inside, CLOSE]);
            }
            Tag::Block(inside) => match inside.split_whitespace().next().unwrap_or_default() {
                word if VERBATIM.contains(&word) => {
                    let (within, after) = until_end(rest, word)?;
                    jinja.push_str(within);
                    rest = after;
                }
                COMMENTED => rest = until_end(rest, COMMENTED)?.1,
                word => {
                    allowed(inside)?;
                    depth = nested(word, depth)?;
                    jinja.extend([OPEN, &in_words_of_engine(inside), CLOSE]);
                }
            },
        }
    }
    jinja.push_str(rest);
    Ok(jinja)
}

enum Tag<'a> {
    Value(&'a str),
    Block(&'a str),
    Comment,
}

/// The text before the next tag, the tag, and what comes after it.
fn next_tag(text: &str) -> Option<(&str, Tag<'_>, &str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find('{').map(|at| from + at) {
        let line = text[at..].split('\n').next().unwrap_or_default();
        for (open, close) in [("{%", "%}"), ("{{", "}}"), ("{#", "#}")] {
            let Some(inside) = line.strip_prefix(open) else { continue };
            let Some(end) = inside.find(close) else { continue };
            let (inside, after) = (&inside[..end], &text[at + open.len() + end + close.len()..]);
            let tag = match open {
                "{%" => Tag::Block(inside),
                "{{" => Tag::Value(inside),
                _ => Tag::Comment,
            };
            return Some((&text[..at], tag, after));
        }
        from = at + 1;
    }
    None
}

/// What is inside of a block that is not read, and what comes after it.
fn until_end<'a>(text: &'a str, word: &str) -> Result<(&'a str, &'a str), String> {
    let mut rest = text;
    while let Some((_, tag, after)) = next_tag(rest) {
        if let Tag::Block(inside) = tag
            && inside.trim().strip_prefix("end").is_some_and(|end| end == word)
        {
            let end = text[..text.len() - after.len()].rfind("{%").unwrap_or_default();
            return Ok((&text[..end], after));
        }
        rest = after;
    }
    Err(format!("the block {word} has no end{word}"))
}

/// How deep what follows a block's tag is nested. Each `elif` is in the one before for the engine.
fn nested(word: &str, depth: usize) -> Result<usize, String> {
    let depth = match word {
        "else" => depth,
        "elif" => depth + 1,
        word if BLOCKS.contains(&word) => depth + 1,
        // What ends an if ends its elifs as well; that is not counted back, so that many of them are too many.
        word if word.strip_prefix("end").is_some_and(|word| BLOCKS.contains(&word)) => depth.saturating_sub(1),
        word => return Err(format!("there is no block {word:?}; allowed are {}", BLOCKS.join(", "))),
    };
    if depth > MAX_DEPTH { Err(format!("blocks are nested deeper than {MAX_DEPTH}")) } else { Ok(depth) }
}

/// A block that the engine says otherwise.
fn in_words_of_engine(inside: &str) -> Cow<'_, str> {
    let words: Vec<&str> = inside.split_whitespace().collect();
    match words[..] {
        ["autoescape", "off"] => " autoescape false ".into(),
        ["autoescape", "on"] => " autoescape true ".into(),
        _ => inside.into(),
    }
}

fn allowed(inside: &str) -> Result<(), String> {
    if inside.len() > MAX_TAG {
        return Err(format!("a tag is longer than {MAX_TAG} bytes"));
    }
    let mut quote = None;
    for c in inside.chars() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, c) if OPERATORS.contains(&c) => return Err(format!("{c:?} is not allowed in a tag")),
            _ => {}
        }
    }
    Ok(())
}
