//! A part of a log as it stands in the page: for who has no scripts, and until they have begun.

use minijinja::{Value, context};

use crate::run::RunId;
use crate::server::http::terminal::{self, Row, Span};
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
    /// The lines that are shown.
    pub rows: Vec<Row>,
}

/// The lines from this one on; the last ones if nobody says.
pub(super) async fn excerpt(store: &Store, run: RunId, line: Option<u64>) -> Result<Excerpt, StoreError> {
    let Some(extent) = store.log_extent(run).await? else { return Ok(Excerpt::default()) };
    let first = line.unwrap_or(extent.lines()).min(extent.lines().saturating_sub(LINES));
    // A log that is replaced at this moment shows nothing at this moment.
    let found = terminal::rows(store, &extent, first, LINES, BYTES).await?.unwrap_or_default();
    Ok(Excerpt { bytes: Extent::len(&extent), lines: extent.lines(), first, rows: found.rows })
}

/// The log's part of the page.
pub(super) fn shown(run: RunId, log: &Excerpt) -> Value {
    let shown = log.rows.len() as u64;
    let size = size(log.bytes);
    context! {
        run => run.get(), bytes => log.bytes, lines => log.lines, rows => log.rows.iter().map(row).collect::<Vec<_>>(), size,
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

/// A line for the page, in the colours that have names: the others need scripts.
fn row(row: &Row) -> Value {
    let span = |span: &Span| context!(text => span.text.as_str(), class => span.look.classes());
    context!(spans => row.spans.iter().map(span).collect::<Vec<_>>(), cut => row.cut)
}
