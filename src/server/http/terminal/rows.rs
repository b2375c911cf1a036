//! Log lines from the store, as a terminal shows them.

use super::{COLUMNS, Row, Terminal};
use crate::server::store::{Extent, Store, StoreError};

/// Lines of a log, rendered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Number of the first line; the first line of a log is 0.
    pub first: u64,
    /// Rendered lines, in order.
    pub rows: Vec<Row>,
}

/// Renders lines of a log from number `first` on: at most `count`, and no further one once `most` bytes of text were
/// rendered. A line is read to its end however long it is, piece by piece, and no more of it is kept than [`COLUMNS`].
/// The first line begins with the plain style, whatever was set before it. `None` if the log was replaced since its
/// extent was read.
///
/// # Errors
/// If the store cannot be read.
pub async fn rows(
    store: &Store,
    log: &Extent,
    first: u64,
    count: u64,
    most: usize,
) -> Result<Option<Rows>, StoreError> {
    let first = first.min(log.lines());
    let Some(mut at) = store.line_start(log, first).await? else { return Ok(None) };
    let (mut terminal, mut found, mut bytes) = (Terminal::new(COLUMNS), Rows { first, rows: Vec::new() }, 0);
    let is_enough = |found: &Rows, bytes: usize| found.rows.len() as u64 >= count || bytes >= most;
    while !is_enough(&found, bytes) && at < log.len() {
        // A log that was replaced has no such piece any more.
        let Some(piece) = store.log_piece(log, at).await? else { return Ok(None) };
        at += piece.len() as u64;
        let mut rest = piece.as_slice();
        while !rest.is_empty() && !is_enough(&found, bytes) {
            let (read, ended) = terminal.read(rest);
            rest = &rest[read..];
            if let Some(row) = ended {
                bytes += row.spans.iter().map(|span| span.text.len()).sum::<usize>();
                found.rows.push(row);
            } else if at >= log.len() {
                found.rows.push(terminal.end_line());
            }
        }
    }
    Ok(Some(found))
}
