//! What is new in a log that was read before. Pure.
//!
//! A log mostly grows at its end. One that is too long loses its middle: then its end is looked for in the new
//! text, to go on where it was left.

#[cfg(test)]
mod tests;

/// How much of the old end is looked for, in bytes. Less would be found in the wrong place too easily.
const NEEDLE: usize = 1024;

/// What is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth<'a> {
    /// Nothing.
    Same,
    /// This follows what was there.
    More(&'a str),
    /// Something is missing, then comes this.
    Gap(&'a str),
}

/// What is new in a log.
pub(super) fn growth<'a>(old: &str, new: &'a str) -> Growth<'a> {
    if let Some(more) = new.strip_prefix(old) {
        return if more.is_empty() { Growth::Same } else { Growth::More(more) };
    }
    let rest = &new[common(old, new)..];
    let needle = &old[old.ceil_char_boundary(old.len().saturating_sub(NEEDLE))..];
    // The last place: output that repeats itself is rather told too little than twice.
    match rest.rfind(needle) {
        Some(at) if needle.len() >= NEEDLE / 2 => match &rest[at + needle.len()..] {
            "" => Growth::Same,
            more => Growth::More(more),
        },
        _ if rest.is_empty() => Growth::Same,
        _ => Growth::Gap(rest),
    }
}

/// How much of the beginning is the same, in bytes.
fn common(old: &str, new: &str) -> usize {
    let same = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
    new.floor_char_boundary(same)
}
