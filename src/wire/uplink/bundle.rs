//! Bundles: several messages of the uplink in one message of the WebSocket, from version 2 on.
//!
//! What waits when the socket is free goes out together; nothing is ever waited for. The head of a bundle is
//! `{"bundle":[LENGTH,…]}`, written exactly so, and its body are the messages one behind the other. A bundle in a bundle is
//! refused.

use super::MAX_HEAD;

#[cfg(test)]
mod tests;

/// Most messages of one bundle.
pub const MAX_BUNDLE: usize = 32;
/// Beginning of the head of every bundle, and of no other.
const BEGINNING: &[u8] = b"{\"bundle\":[";
/// End of the head, with the line feed behind it.
const END: &[u8] = b"]}\n";

/// Reason why a bundle is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBundle {
    /// The head is no list of lengths.
    #[error("the head of the bundle is no list of lengths")]
    Head,
    /// There are no messages in it, or too many.
    #[error("a bundle of {0} messages; 1 to {MAX_BUNDLE} are allowed")]
    Count(usize),
    /// The lengths do not add up to that of the body.
    #[error("the messages of the bundle are not as long as its body")]
    Lengths,
    /// A message in it is a bundle itself.
    #[error("a bundle in a bundle")]
    Nested,
}

/// Messages that go out as one. Bounded in number and in bytes.
#[derive(Debug)]
pub struct Bundle {
    /// Most bytes of the message that is sent.
    limit: usize,
    bytes: usize,
    messages: Vec<Vec<u8>>,
}

impl Bundle {
    /// Begins with a message, however long it is; together they are not to exceed `limit` bytes.
    #[must_use]
    pub fn of(first: Vec<u8>, limit: usize) -> Self {
        // Room for the head is set aside at once, so that the sum is never exceeded by it.
        Self { limit: limit.saturating_sub(MAX_HEAD), bytes: first.len(), messages: vec![first] }
    }

    /// Returns whether a message of a length may be added.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.messages.len() < MAX_BUNDLE && self.bytes.saturating_add(bytes) <= self.limit
    }

    /// Adds a message, for which there is room.
    pub fn push(&mut self, message: Vec<u8>) {
        self.bytes += message.len();
        self.messages.push(message);
    }

    /// Encodes the bundle; a message that is alone stays as it is.
    #[must_use]
    pub fn encode(mut self) -> Vec<u8> {
        if self.messages.len() == 1 {
            return self.messages.swap_remove(0);
        }
        let lengths: Vec<String> = self.messages.iter().map(|message| message.len().to_string()).collect();
        let head = [BEGINNING, lengths.join(",").as_bytes(), END].concat();
        let mut bundle = Vec::with_capacity(head.len() + self.bytes);
        bundle.extend(head);
        self.messages.iter().for_each(|message| bundle.extend_from_slice(message));
        bundle
    }
}

/// Splits a message of the WebSocket into the messages in it. One that is no bundle is the only one.
///
/// # Errors
/// If it is a bundle whose parts do not fit together; nothing of it is used then.
pub fn unbundled(message: &[u8]) -> Result<Vec<&[u8]>, BadBundle> {
    let Some(behind) = message.strip_prefix(BEGINNING) else { return Ok(vec![message]) };
    // The head ends within its bound, or it is none; so the list is short, whatever it says.
    let within = &behind[..behind.len().min(MAX_HEAD - BEGINNING.len())];
    let end = within.windows(END.len()).position(|bytes| bytes == END).ok_or(BadBundle::Head)?;
    let lengths = str::from_utf8(&within[..end]).map_err(|_| BadBundle::Head)?;
    let count = lengths.split(',').count();
    if lengths.is_empty() || count > MAX_BUNDLE {
        return Err(BadBundle::Count(if lengths.is_empty() { 0 } else { count }));
    }
    let (mut rest, mut messages) = (&behind[end + END.len()..], Vec::with_capacity(count));
    for length in lengths.split(',') {
        // Digits alone: `parse` would take a sign as well.
        let is_number = length.bytes().all(|byte| byte.is_ascii_digit());
        let length = length.parse::<usize>().ok().filter(|_| is_number).ok_or(BadBundle::Head)?;
        let (one, others) = rest.split_at_checked(length).ok_or(BadBundle::Lengths)?;
        if one.starts_with(BEGINNING) {
            return Err(BadBundle::Nested);
        }
        messages.push(one);
        rest = others;
    }
    if rest.is_empty() { Ok(messages) } else { Err(BadBundle::Lengths) }
}
