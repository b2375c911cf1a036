//! Reads logs piece by piece, so that no reader holds more than a piece in memory.

use super::db::{DbError, Reading};
use super::log_chunks::{self, Extent, signed, unsigned};
use super::{Store, StoreError};
use crate::run::RunId;

/// Consecutive lines of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLineRange {
    /// Byte of the log at which they begin.
    pub from: u64,
    /// Text of the lines, with their line feeds.
    pub text: Vec<u8>,
}

impl Store {
    /// Returns the extent of a run's log; `None` if it has none.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn log_extent(&self, run: RunId) -> Result<Option<Extent>, StoreError> {
        self.read(move |reading| log_chunks::of_run(reading, run)).await
    }

    /// Returns the whole log of a run, as far as it was received; `None` if it has no text. For callers
    /// that need all of it at once.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn log_text(&self, run: RunId) -> Result<Option<String>, StoreError> {
        self.read(move |reading| {
            let extent = log_chunks::of_run(reading, run)?.filter(|extent| extent.bytes.is_some());
            let Some(extent) = extent else { return Ok(None) };
            let mut text = Vec::new();
            while let Some(piece) = read_piece(reading, &extent, text.len() as u64)? {
                text.extend(piece);
            }
            Ok(Some(String::from_utf8(text).map_err(|e| DbError::Strange(format!("a log ({e})")))?))
        })
        .await
    }

    /// Returns a piece of a log from a byte on: the rest of the chunk that it lies in. `None` at the end of the log,
    /// and where text was taken back since the extent was read.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn log_piece(&self, log: &Extent, from: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let log = *log;
        self.read(move |reading| read_piece(reading, &log, from)).await
    }

    /// Returns up to `count` lines of a log from line number `first` on, the first of all being 0, and of them whole
    /// lines within `most` bytes, or the beginning of a single longer one. `None` if text was taken back since the
    /// extent was read.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn log_lines(
        &self,
        log: &Extent,
        first: u64,
        count: u64,
        most: usize,
    ) -> Result<Option<LogLineRange>, StoreError> {
        let log = *log;
        self.read(move |reading| read_lines(reading, &log, first, count, most)).await
    }

    /// Returns the byte at which a line begins, the first being line 0, or the end of the log if it has no such line.
    /// `None` if text was taken back since the extent was read.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn line_start(&self, log: &Extent, line: u64) -> Result<Option<u64>, StoreError> {
        let log = *log;
        self.read(move |reading| find_line(reading, &log, line)).await
    }
}

/// Reads the rest of the chunk that a byte lies in; see [`Store::log_piece`].
pub(super) fn read_piece(reading: &Reading<'_>, log: &Extent, from: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let found: Option<(i64, Vec<u8>)> = reading.row(
        "SELECT start, data FROM log_chunk WHERE log = ?1 AND start <= ?2
         AND EXISTS (SELECT 1 FROM run_log WHERE id = ?1 AND revision = ?3) ORDER BY start DESC LIMIT 1",
        &[&log.log, &signed(from), &signed(log.revision)],
        |row| Ok::<_, StoreError>((row.at(0)?, row.at(1)?)),
    )?;
    Ok(found.and_then(|(start, mut data)| {
        // The last chunk ends before `from`: the end of the log.
        let passed = usize::try_from(from - unsigned(start)).ok().filter(|passed| *passed < data.len())?;
        data.drain(..passed);
        Some(data)
    }))
}

/// Reads consecutive lines; see [`Store::log_lines`].
fn read_lines(
    reading: &Reading<'_>,
    log: &Extent,
    first: u64,
    count: u64,
    most: usize,
) -> Result<Option<LogLineRange>, StoreError> {
    let Some(from) = find_line(reading, log, first)? else { return Ok(None) };
    let mut lines = LogLineRange { from, text: Vec::new() };
    let mut left = count;
    while left > 0 && lines.text.len() < most {
        let Some(piece) = read_piece(reading, log, from + lines.text.len() as u64)? else { break };
        for line in piece.split_inclusive(|byte| *byte == b'\n').take(usize::try_from(left).unwrap_or(usize::MAX)) {
            lines.text.extend_from_slice(line);
            left -= u64::from(line.ends_with(b"\n"));
        }
    }
    if lines.text.len() > most {
        lines.text.truncate(whole(&lines.text, most));
    }
    Ok(Some(lines))
}

/// Finds the byte at which a line begins; see [`Store::line_start`].
fn find_line(reading: &Reading<'_>, log: &Extent, line: u64) -> Result<Option<u64>, StoreError> {
    if line == 0 {
        return Ok(Some(0));
    }
    let found: Option<(i64, i64)> = reading.row(
        "SELECT start, newlines FROM log_chunk WHERE log = ? AND newlines < ? ORDER BY start DESC LIMIT 1",
        &[&log.log, &signed(line)],
        |row| Ok::<_, StoreError>((row.at(0)?, row.at(1)?)),
    )?;
    // The last chunk before which fewer line feeds stand holds the one that ends the line before.
    let Some((start, newlines)) = found else {
        // A log with text has a first chunk, unless that was taken back.
        return Ok((log.is_empty()).then_some(0));
    };
    let Some(piece) = read_piece(reading, log, unsigned(start))? else { return Ok(None) };
    let before = usize::try_from(line - unsigned(newlines) - 1).unwrap_or(usize::MAX);
    let ends = piece.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let end = ends.map(|(at, _)| at + 1).nth(before).unwrap_or(piece.len());
    Ok(Some(unsigned(start) + end as u64))
}

/// Length of the longest beginning of at most `most` bytes that ends with a line; `most` if the first line is longer.
fn whole(text: &[u8], most: usize) -> usize {
    let end = text[..most].iter().rposition(|byte| *byte == b'\n');
    end.map_or(most, |end| end + 1)
}
