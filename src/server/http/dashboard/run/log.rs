//! Excerpt of a log as HTML: for browsers without scripts, and until the scripts have started.

use minijinja::{Value, context};

use crate::run::RunId;
use crate::server::http::terminal::{self, Row, Span};
use crate::server::store::{Extent, Store, StoreError};

#[cfg(test)]
mod tests;

/// Lines of an excerpt at most.
const LINES: u64 = 400;
/// Bytes of an excerpt at most.
const BYTES: usize = 128 * 1024;

/// Excerpt of a log, with the size of the whole log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// Length of the whole log, in bytes.
    pub bytes: u64,
    /// Length of the whole log, in lines.
    pub lines: u64,
    /// Number of the first shown line, counted from 0.
    pub first: u64,
    /// Lines that are shown.
    pub rows: Vec<Row>,
}

/// Reads the lines from `line` on; the last ones for `None` or for a line beyond them.
pub(super) async fn excerpt(store: &Store, run: RunId, line: Option<u64>) -> Result<Excerpt, StoreError> {
    // A run has no log before its worker sends some.
    let Some(extent) = store.log_extent(run).await? else { return Ok(Excerpt::default()) };
    let first = line.unwrap_or(extent.lines()).min(extent.lines().saturating_sub(LINES));
    // A log that is replaced while it is read is shown as empty for the moment.
    let found = terminal::rows(store, &extent, first, LINES, BYTES).await?.unwrap_or_default();
    Ok(Excerpt { bytes: Extent::len(&extent), lines: extent.lines(), first, rows: found.rows })
}

/// Renders the excerpt with links to the lines before and after it.
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

/// Number of bytes in decimal units, rounded down to a tenth.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

/// Renders a line with the colours that have names: arbitrary colours need an inline style, which the content security
/// policy forbids.
fn row(row: &Row) -> Value {
    let span = |span: &Span| context!(text => span.text.as_str(), class => span.look.classes());
    context!(spans => row.spans.iter().map(span).collect::<Vec<_>>(), cut => row.cut)
}
