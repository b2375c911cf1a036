//! Byte ranges: parses HTTP's `Range` header. Pure.

#[cfg(test)]
mod tests;

/// Part of a text that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteRange {
    /// The whole text. Also where the header asks for several ranges or is malformed, to which HTTP allows this answer.
    Whole,
    /// From one byte up to another, which is excluded.
    Part(u64, u64),
    /// No byte of the text.
    Beyond,
}

/// Parses a header that asks for a part of a text of so many bytes.
pub(super) fn parse(header: Option<&str>, bytes: u64) -> ByteRange {
    let Some((first, last)) = header.and_then(|header| header.trim().strip_prefix("bytes=")?.split_once('-')) else {
        return ByteRange::Whole;
    };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let (from, to) = match (number(first.trim()), number(last.trim())) {
        // The header names the last byte of the part, a range here the byte behind it.
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1)),
        (Some(first), None) if last.trim().is_empty() => (first, bytes),
        // `bytes=-500` asks for the last 500 bytes.
        (None, Some(last)) if first.trim().is_empty() => (bytes.saturating_sub(last), bytes),
        _ => return ByteRange::Whole,
    };
    match (from, to.min(bytes)) {
        (from, to) if from < to => ByteRange::Part(from, to),
        _ => ByteRange::Beyond,
    }
}
