//! Journal of a task: appended to, bounded, and with room kept for the end.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::wire::steps::{JournalLine, journal_line};

#[cfg(test)]
mod tests;

/// Most bytes of a journal.
const MAX_BYTES: u64 = 256 * 1024;
/// Bytes that are kept for failures and the end.
const KEPT: u64 = 16 * 1024;
/// Most bytes of an activity in the journal; the log has the whole text.
const MAX_ACTIVITY: usize = 4096;

/// Journal that is written.
pub(super) struct Journal {
    file: File,
    bytes: u64,
    is_durable: bool,
}

impl Journal {
    pub(super) fn open(path: &Path, is_durable: bool) -> io::Result<Self> {
        let file =
            OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)?;
        let bytes = file.metadata()?.len();
        let mut journal = Self { file, bytes, is_durable };
        // A line that a crash cut short is ended, so that the next one is not part of it.
        if bytes > 0 {
            journal.write(b"\n")?;
        }
        Ok(journal)
    }

    /// Appends a line, as far as there is room for it: the journal explains, and never holds up the task.
    pub(super) fn append(&mut self, line: &JournalLine) -> io::Result<()> {
        let is_kept = matches!(line, JournalLine::Finished { .. } | JournalLine::Ended { ok: false, .. });
        let bytes = journal_line(&shortened(line.clone()));
        let limit = if is_kept { MAX_BYTES } else { MAX_BYTES - KEPT };
        if self.bytes + bytes.len() as u64 > limit { Ok(()) } else { self.write(&bytes) }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        if self.is_durable { self.file.sync_data() } else { Ok(()) }
    }
}

/// Cuts the texts of a line to a length that always fits.
fn shortened(mut line: JournalLine) -> JournalLine {
    let text = match &mut line {
        JournalLine::Started { name, .. } => name,
        JournalLine::Ended { activity, .. } | JournalLine::Finished { activity } => activity,
        JournalLine::Origin { .. } | JournalLine::Unknown => return line,
    };
    text.truncate(text.floor_char_boundary(MAX_ACTIVITY));
    line
}
