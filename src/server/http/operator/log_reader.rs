//! Log of a followed run: reads the store a piece at a time and decides which line of the stream comes next.

use super::log_growth::{GrowthStep, Seek, SentLog};
use crate::run::RunId;
use crate::server::store::{Extent, Store, StoreError};
use crate::wire::operator::{FollowLine, LogSize};

/// Position of a follower in a log.
#[derive(Debug)]
pub(super) struct LogReader {
    /// Extent of the log when [`LogReader::read_extent`] last read it.
    log: Option<Extent>,
    sent: SentLog,
    /// Whether the follower named its position. It has to hear of any replacement then, because that position is void.
    has_named_position: bool,
    /// Revision of the log that the follower has read.
    revision: Option<u64>,
    /// Whether another attempt has begun, whose log replaces the present one.
    attempt_begins: bool,
}

impl LogReader {
    /// Starts at a byte of a revision, or at the beginning of the log where the follower names none.
    pub fn from(byte: Option<u64>, revision: Option<u64>) -> Self {
        let sent = SentLog::from(byte.unwrap_or(0));
        Self { log: None, sent, has_named_position: byte.is_some(), revision, attempt_begins: false }
    }

    /// Notes that another attempt has begun: the next text that replaces the log is read from its beginning, however it
    /// resembles the log of the last attempt.
    pub fn begin_attempt(&mut self) {
        self.attempt_begins = true;
    }

    /// Reads the present extent of the log.
    pub async fn read_extent(&mut self, store: &Store, run: RunId) -> Result<(), StoreError> {
        self.log = store.log_extent(run).await?;
        Ok(())
    }

    /// Returns the next line for the follower, up to the extent that [`LogReader::read_extent`] read; `None` if it has
    /// everything.
    pub async fn next_line(&mut self, store: &Store, run: RunId) -> Result<Option<FollowLine>, StoreError> {
        loop {
            let Some(log) = self.log else { return Ok(None) };
            let known = self.revision.replace(log.revision);
            // A follower may name a position that the log does not reach; the log counts as replaced then.
            if known.is_some_and(|known| known != log.revision) || self.sent.bytes > log.len() {
                if let Some(line) = self.resume_in_replaced(store, &log, known).await? {
                    return Ok(Some(line));
                }
                continue;
            }
            if self.sent.bytes >= log.len() {
                return Ok(None);
            }
            match store.log_piece(&log, self.sent.bytes).await? {
                Some(piece) => return Ok(Some(self.log_line(&piece))),
                // The log was replaced since its extent was read.
                None => self.read_extent(store, run).await?,
            }
        }
    }

    fn log_line(&mut self, piece: &[u8]) -> FollowLine {
        self.sent.record(piece);
        FollowLine::Log(String::from_utf8_lossy(piece).into_owned())
    }

    /// Finds the position in a replaced log from which the stream goes on, and returns the line that has to come first,
    /// if any.
    async fn resume_in_replaced(
        &mut self,
        store: &Store,
        log: &Extent,
        known: Option<u64>,
    ) -> Result<Option<FollowLine>, StoreError> {
        if self.has_named_position {
            self.sent = SentLog::from(log.len());
            let (bytes, lines, revision) = (log.len(), log.lines(), log.revision);
            return Ok(Some(FollowLine::Replaced(LogSize { bytes, lines, revision })));
        }
        if std::mem::take(&mut self.attempt_begins) {
            let has_sent = self.sent.bytes > 0;
            self.sent = SentLog::from(0);
            return Ok(has_sent.then_some(FollowLine::Gap));
        }
        // The store knows how much stands since the last revision only. After several, nothing is taken to stand.
        let kept = if known == log.revision.checked_sub(1) { log.kept } else { 0 };
        match self.sent.go_on(kept, log.len()) {
            GrowthStep::Same => Ok(None),
            GrowthStep::Shorter => {
                self.sent.bytes = log.len();
                Ok(None)
            }
            GrowthStep::Seek(seek) => {
                let found = find_end_of_sent(store, log, *seek).await?;
                self.sent.bytes = found.unwrap_or(kept);
                Ok(found.is_none().then_some(FollowLine::Gap))
            }
        }
    }
}

/// Searches a log for the end of the text that was sent, and returns the offset behind it.
async fn find_end_of_sent(store: &Store, log: &Extent, mut seek: Seek) -> Result<Option<u64>, StoreError> {
    while seek.can_match()
        && let Some(piece) = store.log_piece(log, seek.at).await?
    {
        seek.search(&piece);
    }
    Ok(seek.found())
}
