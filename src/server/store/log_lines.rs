//! Logs, read piece by piece: whoever reads one holds no more than a piece of it.

use super::log_chunks::{self, Extent, signed, unsigned};
use super::{Store, StoreError};
use crate::run::RunId;

/// Some lines of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLineRange {
    /// At which byte of the log they begin.
    pub from: u64,
    /// They, as bytes.
    pub text: Vec<u8>,
}

impl Store {
    /// How long the log of a run is, if it has one.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn log_extent(&self, run: RunId) -> Result<Option<Extent>, StoreError> {
        log_chunks::of_run(&mut *self.readers.acquire().await?, run).await
    }

    /// The log of a run, as far as it is known, whole. For who needs it whole.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn log_text(&self, run: RunId) -> Result<Option<String>, StoreError> {
        let Some(extent) = self.log_extent(run).await?.filter(|extent| extent.bytes.is_some()) else { return Ok(None) };
        let mut text = Vec::new();
        while let Some(piece) = self.log_piece(&extent, text.len() as u64).await? {
            text.extend(piece);
        }
        Ok(Some(String::from_utf8(text).map_err(|e| sqlx::Error::Decode(e.into()))?))
    }

    /// What a log has from a byte on, as far as it is at hand: nothing at its end, and nothing if something of the log was
    /// taken back since its extent was read.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn log_piece(&self, log: &Extent, from: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let query = sqlx::query_as(
            "SELECT start, data FROM log_chunk WHERE log = ?1 AND start <= ?2
             AND EXISTS (SELECT 1 FROM run_log WHERE id = ?1 AND revision = ?3) ORDER BY start DESC LIMIT 1",
        );
        let query = query.bind(log.log.get()).bind(signed(from)).bind(signed(log.revision));
        let found: Option<(i64, Vec<u8>)> = query.fetch_optional(&self.readers).await?;
        Ok(found.and_then(|(start, mut data)| {
            let passed = usize::try_from(from - unsigned(start)).ok().filter(|passed| *passed < data.len())?;
            data.drain(..passed);
            Some(data)
        }))
    }

    /// Lines of a log: `count` of them at most, from the one with that number on (the first is 0), and of the last one only
    /// as much as fits into `most` bytes. Nothing if something of the log was taken back since its extent was read.
    ///
    /// # Errors
    /// That the store does not answer.
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

    /// At which byte a line begins (the first is 0); where the log ends, if it has no such line. `None` if something of the
    /// log was taken back since its extent was read.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn line_start(&self, log: &Extent, line: u64) -> Result<Option<u64>, StoreError> {
        if line == 0 {
            return Ok(Some(0));
        }
        let query = sqlx::query_as(
            "SELECT start, newlines FROM log_chunk WHERE log = ? AND newlines < ? ORDER BY start DESC LIMIT 1",
        );
        let query = query.bind(log.log.get()).bind(signed(line));
        let Some((start, newlines)): Option<(i64, i64)> = query.fetch_optional(&self.readers).await? else {
            return Ok((log.is_empty()).then_some(0));
        };
        let Some(piece) = self.log_piece(log, unsigned(start)).await? else { return Ok(None) };
        let before = usize::try_from(line - unsigned(newlines) - 1).unwrap_or(usize::MAX);
        let ends = piece.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let end = ends.map(|(at, _)| at + 1).nth(before).unwrap_or(piece.len());
        Ok(Some(unsigned(start) + end as u64))
    }
}

/// The longest beginning of at most `most` bytes that ends with a line; within one, if it has none.
fn whole(text: &[u8], most: usize) -> usize {
    let end = text[..most].iter().rposition(|byte| *byte == b'\n');
    end.map_or(most, |end| end + 1)
}
