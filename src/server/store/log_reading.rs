//! Reads logs piece by piece, so that no reader holds more than a piece in memory.

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
        log_chunks::of_run(&mut *self.readers.acquire().await?, run).await
    }

    /// Returns the whole log of a run, as far as it was received; `None` if it has no text. It ends early if text is
    /// taken back while it is read. For callers that need all of it at once.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn log_text(&self, run: RunId) -> Result<Option<String>, StoreError> {
        let Some(extent) = self.log_extent(run).await?.filter(|extent| extent.bytes.is_some()) else { return Ok(None) };
        let mut text = Vec::new();
        while let Some(piece) = self.log_piece(&extent, text.len() as u64).await? {
            text.extend(piece);
        }
        Ok(Some(String::from_utf8(text).map_err(|e| sqlx::Error::Decode(e.into()))?))
    }

    /// Returns a piece of a log from a byte on: the rest of the chunk that it lies in. `None` at the end of the log,
    /// and where text was taken back since the extent was read.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn log_piece(&self, log: &Extent, from: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let query = sqlx::query_as(
            "SELECT start, data FROM log_chunk WHERE log = ?1 AND start <= ?2
             AND EXISTS (SELECT 1 FROM run_log WHERE id = ?1 AND revision = ?3) ORDER BY start DESC LIMIT 1",
        );
        let query = query.bind(log.log.get()).bind(signed(from)).bind(signed(log.revision));
        let found: Option<(i64, Vec<u8>)> = query.fetch_optional(&self.readers).await?;
        Ok(found.and_then(|(start, mut data)| {
            // The last chunk ends before `from`: the end of the log.
            let passed = usize::try_from(from - unsigned(start)).ok().filter(|passed| *passed < data.len())?;
            data.drain(..passed);
            Some(data)
        }))
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
        let Some(from) = self.line_start(log, first).await? else { return Ok(None) };
        let mut lines = LogLineRange { from, text: Vec::new() };
        let mut left = count;
        while left > 0 && lines.text.len() < most {
            let Some(piece) = self.log_piece(log, from + lines.text.len() as u64).await? else { break };
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

    /// Returns the byte at which a line begins, the first being line 0, or the end of the log if it has no such line.
    /// `None` if text was taken back since the extent was read.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn line_start(&self, log: &Extent, line: u64) -> Result<Option<u64>, StoreError> {
        if line == 0 {
            return Ok(Some(0));
        }
        let query = sqlx::query_as(
            "SELECT start, newlines FROM log_chunk WHERE log = ? AND newlines < ? ORDER BY start DESC LIMIT 1",
        );
        let query = query.bind(log.log.get()).bind(signed(line));
        // The last chunk before which fewer line feeds stand holds the one that ends the line before.
        let Some((start, newlines)): Option<(i64, i64)> = query.fetch_optional(&self.readers).await? else {
            // A log with text has a first chunk, unless that was taken back.
            return Ok((log.is_empty()).then_some(0));
        };
        let Some(piece) = self.log_piece(log, unsigned(start)).await? else { return Ok(None) };
        let before = usize::try_from(line - unsigned(newlines) - 1).unwrap_or(usize::MAX);
        let ends = piece.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let end = ends.map(|(at, _)| at + 1).nth(before).unwrap_or(piece.len());
        Ok(Some(unsigned(start) + end as u64))
    }
}

/// Length of the longest beginning of at most `most` bytes that ends with a line; `most` if the first line is longer.
fn whole(text: &[u8], most: usize) -> usize {
    let end = text[..most].iter().rposition(|byte| *byte == b'\n');
    end.map_or(most, |end| end + 1)
}
