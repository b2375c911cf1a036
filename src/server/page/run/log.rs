//! A part of a log as it stands in the page: for who has no scripts, and until they have begun.

use minijinja::{Value, context};

use crate::run::RunId;
use crate::server::store::{Extent, Store, StoreError};

#[cfg(test)]
mod tests;

/// How many lines.
const LINES: u64 = 400;
/// Of which there are no more bytes than this.
const BYTES: usize = 128 * 1024;

/// A part of a log, and how long all of it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// In bytes.
    pub bytes: u64,
    /// In lines.
    pub lines: u64,
    /// The number of the first line that is shown; the first of the log is 0.
    pub first: u64,
    /// What is shown.
    pub text: String,
}

/// The lines from this one on; the last ones if nobody says.
pub(super) async fn excerpt(store: &Store, run: RunId, line: Option<u64>) -> Result<Excerpt, StoreError> {
    let Some(extent) = store.log_extent(run).await? else { return Ok(Excerpt::default()) };
    let first = line.unwrap_or(extent.lines()).min(extent.lines().saturating_sub(LINES));
    // A log that is replaced at this moment shows nothing at this moment.
    let found = store.log_lines(&extent, first, LINES, BYTES).await?;
    let text = found.map(|lines| plain(&String::from_utf8_lossy(&lines.text))).unwrap_or_default();
    Ok(Excerpt { bytes: Extent::len(&extent), lines: extent.lines(), first, text })
}

/// The log's part of the page.
pub(super) fn shown(run: RunId, log: &Excerpt) -> Value {
    let shown = log.text.lines().count() as u64;
    let size = size(log.bytes);
    context! {
        run => run.get(), bytes => log.bytes, lines => log.lines, text => log.text.as_str(), size,
        earlier => (log.first > 0).then(|| log.first.saturating_sub(LINES)),
        later => (log.first + shown < log.lines).then_some(log.first + shown),
        from => log.first + 1, to => log.first + shown,
    }
}

/// A number of bytes as people say it.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

/// A text without what tells a terminal how to show it.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' if characters.next_if_eq(&'[').is_some() => {
                // Up to the letter that ends it, if it is one; a line's end is none of it.
                while characters.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                characters.next_if(|c| matches!(c, '@'..='~'));
            }
            '\n' | '\t' => plain.push(character),
            character if character.is_control() => {}
            character => plain.push(character),
        }
    }
    plain
}
