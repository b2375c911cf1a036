//! Tags of a template, found as the original finds them: each begins and ends on one line. Pure.

use std::borrow::Cow;

/// Delimiters that the engine is given in place of the original's: the begin of a block, of a value and of a comment,
/// and the end of each. They use characters that Unicode keeps out of every text.
pub(super) const OPEN: &str = "\u{FDD0}%";
pub(super) const PRINT: &str = "\u{FDD0}{";
pub(super) const COMMENT: &str = "\u{FDD0}#";
pub(super) const CLOSE: &str = "\u{FDD1}";
/// Characters of these delimiters.
const RESERVED: [char; 2] = ['\u{FDD0}', '\u{FDD1}'];
/// Longest tag, in bytes.
const MAX_TAG: usize = 1000;
/// Deepest nesting of blocks.
const MAX_DEPTH: usize = 50;
/// Names of the blocks that are allowed.
const BLOCKS: [&str; 4] = ["if", "for", "with", "autoescape"];
/// Blocks whose content is kept as text; the content of a comment block is dropped.
const VERBATIM: [&str; 2] = ["verbatim", "raw"];
const COMMENTED: &str = "comment";
/// Operators that make long values out of short ones.
const OPERATORS: [char; 7] = ['~', '*', '+', '[', ']', '{', '}'];

/// Translates a template for the engine: its tags get the engine's delimiters, and all else is text.
///
/// Fails for a reserved character, a block that is unknown, nested too deep or not ended, or a tag that is not allowed.
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

/// Returns the text before the next tag, the tag, and the rest.
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
        // An opening without an end on its line is text; the next brace may begin a tag.
        from = at + 1;
    }
    None
}

/// Returns the content of a block that is not parsed, and the text after its end tag.
fn until_end<'a>(text: &'a str, word: &str) -> Result<(&'a str, &'a str), String> {
    let mut rest = text;
    while let Some((_, tag, after)) = next_tag(rest) {
        if let Tag::Block(inside) = tag
            && inside.trim().strip_prefix("end").is_some_and(|end| end == word)
        {
            // The end tag is the last one before the rest, so its begin is found backwards.
            let end = text[..text.len() - after.len()].rfind("{%").unwrap_or_default();
            return Ok((&text[..end], after));
        }
        rest = after;
    }
    Err(format!("the block {word} has no end{word}"))
}

/// Returns the depth after a block's tag. For the engine, each `elif` is nested in the one before it.
fn nested(word: &str, depth: usize) -> Result<usize, String> {
    let depth = match word {
        "else" => depth,
        "elif" => depth + 1,
        word if BLOCKS.contains(&word) => depth + 1,
        // The end of an `if` also ends its `elif`s, which are not counted back: so that very many of them are refused.
        word if word.strip_prefix("end").is_some_and(|word| BLOCKS.contains(&word)) => depth.saturating_sub(1),
        word => return Err(format!("there is no block {word:?}; allowed are {}", BLOCKS.join(", "))),
    };
    if depth > MAX_DEPTH { Err(format!("blocks are nested deeper than {MAX_DEPTH}")) } else { Ok(depth) }
}

/// Translates the words of a block that the engine spells otherwise.
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
    // Operators in quoted text are harmless, so quotes are followed.
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
