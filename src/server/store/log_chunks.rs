//! Chunks of logs: the cost of an append does not grow with the log, and no reader has to hold a whole one.

use super::StoreError;
use super::db::{DbError, DbRow, Reading, Transaction};
use crate::run::RunId;
use crate::server::domain::model::LogId;

/// Bytes below which the last chunk grows before another begins, so that a log of many short lines is not as many rows.
const SHORT: usize = 8 * 1024;
/// Longest chunk, in bytes.
pub const LONGEST: usize = 64 * 1024;

/// Length of a log, and whether its text was only added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Log that this describes.
    pub log: LogId,
    /// Length in bytes; `None` for a log that exists without text.
    pub bytes: Option<u64>,
    /// Number of line feeds in the log.
    pub newlines: u64,
    /// Whether the last line has no line feed yet.
    pub unended: bool,
    /// Number of times that text was taken back; an append leaves it as it is.
    pub revision: u64,
    /// Bytes that were left when text was taken back last.
    pub kept: u64,
}

impl Extent {
    /// Length in bytes, 0 without text.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes.unwrap_or(0)
    }

    /// Whether the log has no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of lines, counting a last one without line feed.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.newlines + u64::from(self.unended)
    }
}

/// Reads the extent of a log from its row.
pub(super) fn extent(row: &DbRow<'_>) -> Result<Extent, StoreError> {
    Ok(Extent {
        log: row.get("id")?,
        bytes: row.get::<Option<i64>>("bytes")?.map(unsigned),
        newlines: unsigned(row.get("newlines")?),
        unended: row.get("unended")?,
        revision: unsigned(row.get("revision")?),
        kept: unsigned(row.get("kept")?),
    })
}

/// Reads the extent of a run's log; `None` if it has none.
pub(super) fn of_run(reading: &Reading<'_>, run: RunId) -> Result<Option<Extent>, StoreError> {
    reading.row(OF_RUN, &[&run], extent)
}

/// Asks ahead for what [`of_run`] reads.
pub(super) fn ask_for_log(reading: &Reading<'_>, run: RunId) {
    reading.ask_ahead(OF_RUN, &[&run]);
}

const OF_RUN: &str = "SELECT * FROM run_log WHERE run = ?";

/// Creates the log of a run that has none.
pub(super) fn begin(
    transaction: &mut Transaction<'_>,
    run: RunId,
    content: Option<&str>,
) -> Result<Extent, StoreError> {
    let text = content.unwrap_or_default().as_bytes();
    let (bytes, newlines, unended) = (content.map(|content| content.len() as u64), ends(text), is_unended(text));
    let sql = "INSERT INTO run_log (run, bytes, newlines, unended) VALUES (?, ?, ?, ?) RETURNING id";
    let log = transaction.value(sql, &[&run, &bytes.map(signed), &signed(newlines), &unended])?;
    let log = log.ok_or_else(|| DbError::Strange("an id".to_owned()))?;
    insert(transaction, log, (0, 0), text)?;
    Ok(Extent { log, bytes, newlines, unended, revision: 0, kept: 0 })
}

/// Appends text to a log.
pub(super) fn append(transaction: &mut Transaction<'_>, extent: &mut Extent, text: &[u8]) -> Result<(), StoreError> {
    let sql = "SELECT id, octet_length(data) FROM log_chunk WHERE log = ? ORDER BY start DESC LIMIT 1";
    let last: Option<(i64, i64)> =
        transaction.row(sql, &[&extent.log], |row| Ok::<_, StoreError>((row.at(0)?, row.at(1)?)))?;
    let mut rest = text;
    if let Some((id, length)) = last
        && let Ok(length) = usize::try_from(length)
        && length < SHORT
    {
        let (fits, left) = text.split_at(whole(text, LONGEST - length));
        // In SQLite, `||` yields TEXT, which the BLOB column of a STRICT table refuses.
        transaction.write("UPDATE log_chunk SET data = CAST(data || ? AS BLOB) WHERE id = ?", &[&fits, &id])?;
        extent.grow(fits);
        rest = left;
    }
    insert(transaction, extent.log, (extent.len(), extent.newlines), rest)?;
    extent.grow(rest);
    save(transaction, extent)
}

/// Takes back all text of a log from byte `at` on.
pub(super) fn cut(transaction: &mut Transaction<'_>, extent: &mut Extent, at: u64) -> Result<(), StoreError> {
    let sql = "SELECT start, newlines, data FROM log_chunk WHERE log = ? AND start < ? ORDER BY start DESC LIMIT 1";
    let last: Option<(i64, i64, Vec<u8>)> = transaction
        .row(sql, &[&extent.log, &signed(at)], |row| Ok::<_, StoreError>((row.at(0)?, row.at(1)?, row.at(2)?)))?;
    // The chunk that is cut is deleted and written anew; nothing lies before byte 0, so then all chunks are deleted.
    let (start, newlines, data) = last.unwrap_or_default();
    transaction.write("DELETE FROM log_chunk WHERE log = ? AND start >= ?", &[&extent.log, &start])?;
    let (start, newlines) = (unsigned(start), unsigned(newlines));
    let stays = usize::try_from(at - start).unwrap_or(usize::MAX).min(data.len());
    insert(transaction, extent.log, (start, newlines), &data[..stays])?;
    // As long as the log was before the chunk that is cut; the rest of that chunk is added again.
    (extent.bytes, extent.newlines, extent.unended) = (Some(start), newlines, false);
    extent.grow(&data[..stays]);
    (extent.kept, extent.revision) = (extent.len(), extent.revision + 1);
    save(transaction, extent)
}

/// Length in bytes of the longest common beginning of a log and a text, ending between two characters.
pub(super) fn common(reading: &Reading<'_>, extent: &Extent, text: &str) -> Result<u64, StoreError> {
    let mut same = 0;
    while (same as u64) < extent.len() {
        let sql = "SELECT data FROM log_chunk WHERE log = ? AND start = ?";
        // Chunks have no gaps between them: the next one starts where this one ended.
        let data: Option<Vec<u8>> = reading.value(sql, &[&extent.log, &signed(same as u64)])?;
        let Some(data) = data else { break };
        let here = data.iter().zip(&text.as_bytes()[same..]).take_while(|(a, b)| a == b).count();
        same += here;
        if here < data.len() {
            break;
        }
    }
    Ok(text.floor_char_boundary(same) as u64)
}

/// Writes the extent of a log.
pub(super) fn save(transaction: &mut Transaction<'_>, extent: &Extent) -> Result<(), StoreError> {
    transaction.write(
        "UPDATE run_log SET bytes = ?, newlines = ?, unended = ?, revision = ?, kept = ? WHERE id = ?",
        &[
            &extent.bytes.map(signed),
            &signed(extent.newlines),
            &extent.unended,
            &signed(extent.revision),
            &signed(extent.kept),
            &extent.log,
        ],
    )?;
    Ok(())
}

/// Writes text as chunks; the first starts at the given byte, before which there are so many line feeds.
fn insert(
    transaction: &mut Transaction<'_>,
    log: LogId,
    (mut start, mut newlines): (u64, u64),
    mut text: &[u8],
) -> Result<(), StoreError> {
    while !text.is_empty() {
        let (data, rest) = text.split_at(whole(text, LONGEST));
        text = rest;
        transaction.write(
            "INSERT INTO log_chunk (log, start, newlines, data) VALUES (?, ?, ?, ?)",
            &[&log, &signed(start), &signed(newlines), &data],
        )?;
        start += data.len() as u64;
        newlines += ends(data);
    }
    Ok(())
}

impl Extent {
    fn grow(&mut self, text: &[u8]) {
        self.bytes = Some(self.len() + text.len() as u64);
        self.newlines += ends(text);
        self.unended = if text.is_empty() { self.unended } else { is_unended(text) };
    }
}

/// Number of line feeds in a text.
fn ends(text: &[u8]) -> u64 {
    text.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// Length of the longest beginning of at most `most` bytes that cuts no character, so that every chunk is valid text.
fn whole(text: &[u8], most: usize) -> usize {
    let goes_on = |at: &usize| text.get(*at).is_some_and(|byte| (0x80..0xC0).contains(byte));
    (0..=most.min(text.len())).rev().find(|at| !goes_on(at)).unwrap_or(0)
}

fn is_unended(text: &[u8]) -> bool {
    text.last().is_some_and(|last| *last != b'\n')
}

/// Number as the database stores it. No length of a log reaches 2⁶³.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
