//! Chunks of logs: the cost of an append does not grow with the log, and no reader has to hold a whole one.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::StoreError;
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
pub(super) fn extent(row: &SqliteRow) -> Result<Extent, StoreError> {
    Ok(Extent {
        log: LogId::new(row.try_get("id")?).ok_or(sqlx::Error::RowNotFound)?,
        bytes: row.try_get::<Option<i64>, _>("bytes")?.map(unsigned),
        newlines: unsigned(row.try_get("newlines")?),
        unended: row.try_get("unended")?,
        revision: unsigned(row.try_get("revision")?),
        kept: unsigned(row.try_get("kept")?),
    })
}

/// Reads the extent of a run's log; `None` if it has none.
pub(super) async fn of_run(connection: &mut SqliteConnection, run: RunId) -> Result<Option<Extent>, StoreError> {
    let row = sqlx::query("SELECT * FROM run_log WHERE run = ?").bind(run.get()).fetch_optional(connection).await?;
    row.as_ref().map(extent).transpose()
}

/// Creates the log of a run that has none.
pub(super) async fn begin(
    connection: &mut SqliteConnection,
    run: RunId,
    content: Option<&str>,
) -> Result<Extent, StoreError> {
    let text = content.unwrap_or_default().as_bytes();
    let (bytes, newlines, unended) = (content.map(|content| content.len() as u64), ends(text), is_unended(text));
    let query = "INSERT INTO run_log (run, bytes, newlines, unended) VALUES (?, ?, ?, ?) RETURNING id";
    let query = sqlx::query_scalar(query).bind(run.get()).bind(bytes.map(signed));
    let id: i64 = query.bind(signed(newlines)).bind(unended).fetch_one(&mut *connection).await?;
    let log = LogId::new(id).ok_or(sqlx::Error::RowNotFound)?;
    insert(connection, log, (0, 0), text).await?;
    Ok(Extent { log, bytes, newlines, unended, revision: 0, kept: 0 })
}

/// Appends text to a log.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    extent: &mut Extent,
    text: &[u8],
) -> Result<(), StoreError> {
    let query = sqlx::query_as("SELECT id, length(data) FROM log_chunk WHERE log = ? ORDER BY start DESC LIMIT 1");
    let last: Option<(i64, i64)> = query.bind(extent.log.get()).fetch_optional(&mut *connection).await?;
    let mut rest = text;
    if let Some((id, length)) = last
        && let Ok(length) = usize::try_from(length)
        && length < SHORT
    {
        let (fits, left) = text.split_at(whole(text, LONGEST - length));
        // `||` yields TEXT, which the BLOB column of a STRICT table refuses.
        let query = sqlx::query("UPDATE log_chunk SET data = CAST(data || ? AS BLOB) WHERE id = ?");
        query.bind(fits).bind(id).execute(&mut *connection).await?;
        extent.grow(fits);
        rest = left;
    }
    insert(connection, extent.log, (extent.len(), extent.newlines), rest).await?;
    extent.grow(rest);
    save(connection, extent).await
}

/// Takes back all text of a log from byte `at` on.
pub(super) async fn cut(connection: &mut SqliteConnection, extent: &mut Extent, at: u64) -> Result<(), StoreError> {
    let query = "SELECT start, newlines, data FROM log_chunk WHERE log = ? AND start < ? ORDER BY start DESC LIMIT 1";
    let query = sqlx::query_as(query).bind(extent.log.get()).bind(signed(at));
    let last: Option<(i64, i64, Vec<u8>)> = query.fetch_optional(&mut *connection).await?;
    // The chunk that is cut is deleted and written anew; nothing lies before byte 0, so then all chunks are deleted.
    let (start, newlines, data) = last.unwrap_or_default();
    let query = sqlx::query("DELETE FROM log_chunk WHERE log = ? AND start >= ?");
    query.bind(extent.log.get()).bind(start).execute(&mut *connection).await?;
    let (start, newlines) = (unsigned(start), unsigned(newlines));
    let stays = usize::try_from(at - start).unwrap_or(usize::MAX).min(data.len());
    insert(connection, extent.log, (start, newlines), &data[..stays]).await?;
    // As long as the log was before the chunk that is cut; the rest of that chunk is added again.
    (extent.bytes, extent.newlines, extent.unended) = (Some(start), newlines, false);
    extent.grow(&data[..stays]);
    (extent.kept, extent.revision) = (extent.len(), extent.revision + 1);
    save(connection, extent).await
}

/// Length in bytes of the longest common beginning of a log and a text, ending between two characters.
pub(super) async fn common(connection: &mut SqliteConnection, extent: &Extent, text: &str) -> Result<u64, StoreError> {
    let mut same = 0;
    while (same as u64) < extent.len() {
        let query = sqlx::query_scalar("SELECT data FROM log_chunk WHERE log = ? AND start = ?");
        // Chunks have no gaps between them: the next one starts where this one ended.
        let query = query.bind(extent.log.get()).bind(signed(same as u64));
        let Some(data): Option<Vec<u8>> = query.fetch_optional(&mut *connection).await? else { break };
        let here = data.iter().zip(&text.as_bytes()[same..]).take_while(|(a, b)| a == b).count();
        same += here;
        if here < data.len() {
            break;
        }
    }
    Ok(text.floor_char_boundary(same) as u64)
}

/// Writes the extent of a log.
pub(super) async fn save(connection: &mut SqliteConnection, extent: &Extent) -> Result<(), StoreError> {
    sqlx::query("UPDATE run_log SET bytes = ?, newlines = ?, unended = ?, revision = ?, kept = ? WHERE id = ?")
        .bind(extent.bytes.map(signed))
        .bind(signed(extent.newlines))
        .bind(extent.unended)
        .bind(signed(extent.revision))
        .bind(signed(extent.kept))
        .bind(extent.log.get())
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes text as chunks; the first starts at the given byte, before which there are so many line feeds.
async fn insert(
    connection: &mut SqliteConnection,
    log: LogId,
    (mut start, mut newlines): (u64, u64),
    mut text: &[u8],
) -> Result<(), StoreError> {
    while !text.is_empty() {
        let (data, rest) = text.split_at(whole(text, LONGEST));
        text = rest;
        sqlx::query("INSERT INTO log_chunk (log, start, newlines, data) VALUES (?, ?, ?, ?)")
            .bind(log.get())
            .bind(signed(start))
            .bind(signed(newlines))
            .bind(data)
            .execute(&mut *connection)
            .await?;
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

/// Number as SQLite stores it. No length of a log reaches 2⁶³.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
