//! The bounded text of a log: its head and its tail.
//!
//! A log of more than `limit` bytes becomes its first 20 %, a marker, and its last 80 %, as the
//! original cuts it. Other than there, a character is never cut, and any bytes become valid UTF-8:
//! what is none is replaced by U+FFFD, and the limit holds for the text that comes of it.

#[cfg(test)]
mod tests;

/// What stands between head and tail.
pub const MARKER: &str = "\n\n[truncated]\n\n";

/// How many bytes of a limit belong to the head and to the tail. The rounding is the original's.
#[must_use]
pub fn shares(limit: u64) -> (u64, u64) {
    (limit / 5, limit - limit / 5 - u64::from(!limit.is_multiple_of(5)))
}

/// The text of a log of which `head` and `tail` are known and `between` bytes are not.
///
/// With nothing between them, `head` and `tail` are one piece. The answer has at most `limit` bytes
/// and the marker's.
#[must_use]
pub fn text(head: &[u8], between: u64, tail: &[u8], limit: u64) -> String {
    let cap = usize::try_from(limit).unwrap_or(usize::MAX);
    let (head_share, tail_share) = shares(limit);
    let (head_share, tail_share) =
        (usize::try_from(head_share).unwrap_or(usize::MAX), usize::try_from(tail_share).unwrap_or(usize::MAX));
    if between == 0 {
        let whole = readable(head, tail);
        if whole.len() <= cap {
            return whole;
        }
        return joined(first(&whole, head_share), last(&whole, tail_share));
    }
    // A character may have been cut where bytes are missing: what is left of it is no character.
    let head = String::from_utf8_lossy(&head[..head.len() - cut_at_end(head)]);
    let tail = String::from_utf8_lossy(&tail[cut_at_start(tail)..]);
    joined(first(&head, head_share), last(&tail, tail_share))
}

/// The text of a piece of a log, and how many of its bytes that is: a character that is not complete is left for the next.
#[must_use]
pub fn piece(bytes: &[u8]) -> (String, usize) {
    let whole = bytes.len() - cut_at_end(bytes);
    (String::from_utf8_lossy(&bytes[..whole]).into_owned(), whole)
}

/// Takes bytes out of the middle of a text until at most `limit` and the marker are left.
#[must_use]
pub fn shortened(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    joined(first(text, limit / 5), last(text, limit - limit / 5))
}

fn joined(head: &str, tail: &str) -> String {
    [head, MARKER, tail].concat()
}

fn readable(head: &[u8], tail: &[u8]) -> String {
    if tail.is_empty() {
        return String::from_utf8_lossy(head).into_owned();
    }
    let whole = [head, tail].concat();
    String::from_utf8(whole).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// The longest beginning of at most `bytes` bytes that cuts no character.
fn first(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The longest end of at most `bytes` bytes that cuts no character.
fn last(text: &str, bytes: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(bytes))..]
}

/// How many bytes at the end begin a character that is not complete.
fn cut_at_end(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    let Some(at) = bytes[from..].iter().rposition(|b| *b >= 0xC0) else { return 0 };
    let begun = &bytes[from + at..];
    let needs = match begun[0] {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return 0,
    };
    let continued = begun[1..].iter().all(|b| (0x80..0xC0).contains(b));
    if continued && begun.len() < needs { begun.len() } else { 0 }
}

/// How many bytes at the start continue a character whose beginning is missing.
fn cut_at_start(bytes: &[u8]) -> usize {
    bytes.iter().take(3).take_while(|b| (0x80..0xC0).contains(*b)).count()
}
