//! Excerpts of logs: cuts a log that is too long down to its head and its tail.
//!
//! A log of more than `limit` bytes becomes its first 20 %, a marker, and its last 80 %, as the original cuts it.
//! Unlike the original, a character is never cut in two, and any bytes become valid UTF-8: invalid bytes are replaced
//! by U+FFFD, and the limit holds for the resulting text.

#[cfg(test)]
mod tests;

/// Text between head and tail in place of what was cut out.
pub const MARKER: &str = "\n\n[truncated]\n\n";

/// Returns how many bytes of a limit belong to the head and to the tail, rounded as the original rounds.
#[must_use]
pub fn shares(limit: u64) -> (u64, u64) {
    (limit / 5, limit - limit / 5 - u64::from(!limit.is_multiple_of(5)))
}

/// Returns the text of a log of which `head` and `tail` are known and the `between` bytes in the middle are not.
///
/// With `between == 0`, `head` and `tail` are adjacent. The text has at most `limit` bytes, plus those of the marker.
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
    // A character may have been cut in two at either edge of the gap; its remaining bytes are dropped, not replaced.
    let head = String::from_utf8_lossy(&head[..head.len() - cut_at_end(head)]);
    let tail = String::from_utf8_lossy(&tail[cut_at_start(tail)..]);
    joined(first(&head, head_share), last(&tail, tail_share))
}

/// Returns the text of the next piece of a log, and how many of its bytes that text covers: a character that is
/// incomplete at the end is left for the next piece.
#[must_use]
pub fn piece(bytes: &[u8]) -> (String, usize) {
    let whole = bytes.len() - cut_at_end(bytes);
    (String::from_utf8_lossy(&bytes[..whole]).into_owned(), whole)
}

/// Cuts bytes out of the middle of a text until at most `limit` bytes, plus those of the marker, are left.
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

/// Returns the longest beginning of at most `bytes` bytes that cuts no character.
fn first(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Returns the longest end of at most `bytes` bytes that cuts no character.
fn last(text: &str, bytes: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(bytes))..]
}

/// Counts the bytes at the end that begin an incomplete character.
fn cut_at_end(bytes: &[u8]) -> usize {
    // A character has at most four bytes, so an incomplete one begins within the last three.
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

/// Counts the bytes at the start that continue a character whose beginning is missing.
fn cut_at_start(bytes: &[u8]) -> usize {
    bytes.iter().take(3).take_while(|b| (0x80..0xC0).contains(*b)).count()
}
