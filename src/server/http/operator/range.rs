//! Which bytes of a text are asked for, as HTTP's `Range` says it. Pure.

#[cfg(test)]
mod tests;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteRange {
    /// All of it. Also where more than one range is asked for, or something that is no range: that may be answered so.
    Whole,
    /// From one byte up to another, which is not part of it.
    Part(u64, u64),
    /// Nothing that there is.
    Beyond,
}

/// What a header asks for of a text of so many bytes.
pub(super) fn asked(header: Option<&str>, bytes: u64) -> ByteRange {
    let Some((first, last)) = header.and_then(|header| header.trim().strip_prefix("bytes=")?.split_once('-')) else {
        return ByteRange::Whole;
    };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let (from, to) = match (number(first.trim()), number(last.trim())) {
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1)),
        (Some(first), None) if last.trim().is_empty() => (first, bytes),
        (None, Some(last)) if first.trim().is_empty() => (bytes.saturating_sub(last), bytes),
        _ => return ByteRange::Whole,
    };
    match (from, to.min(bytes)) {
        (from, to) if from < to => ByteRange::Part(from, to),
        _ => ByteRange::Beyond,
    }
}
