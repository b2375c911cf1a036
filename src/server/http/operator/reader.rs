//! The log of a run that is followed, a piece at a time.

use super::growth::{GrowthStep, Seek, ToldLog};
use crate::run::RunId;
use crate::server::store::{Extent, Store, StoreError};
use crate::wire::operator::{FollowLine, LogSize};

/// Somebody who reads.
#[derive(Debug)]
pub(super) struct LogReader {
    /// The log as it was when it was looked at.
    log: Option<Extent>,
    told: ToldLog,
    /// Whether who reads knows from where on it reads: then it wants to know when that is not what it was any more.
    knows: bool,
    /// The revision of the log that it knows.
    revision: Option<u64>,
}

impl LogReader {
    /// From a byte of a revision, if somebody said.
    pub fn from(byte: Option<u64>, revision: Option<u64>) -> Self {
        Self { log: None, told: ToldLog::from(byte.unwrap_or(0)), knows: byte.is_some(), revision }
    }

    /// Looks how long the log is.
    pub async fn look(&mut self, store: &Store, run: RunId) -> Result<(), StoreError> {
        self.log = store.log_extent(run).await?;
        Ok(())
    }

    /// What there is to tell of the log as it was when it was looked at.
    pub async fn read(&mut self, store: &Store, run: RunId) -> Result<Option<FollowLine>, StoreError> {
        loop {
            let Some(log) = self.log else { return Ok(None) };
            let known = self.revision.replace(log.revision);
            if known.is_some_and(|known| known != log.revision) || self.told.bytes > log.len() {
                if let Some(line) = self.replaced(store, &log, known).await? {
                    return Ok(Some(line));
                }
                continue;
            }
            if self.told.bytes >= log.len() {
                return Ok(None);
            }
            match store.log_piece(&log, self.told.bytes).await? {
                Some(piece) => return Ok(Some(self.tell(&piece))),
                // It was replaced since.
                None => self.look(store, run).await?,
            }
        }
    }

    fn tell(&mut self, piece: &[u8]) -> FollowLine {
        self.told.tell(piece);
        FollowLine::Log(String::from_utf8_lossy(piece).into_owned())
    }

    /// The log is not what it was. What there is to say before it goes on, if anything.
    async fn replaced(
        &mut self,
        store: &Store,
        log: &Extent,
        known: Option<u64>,
    ) -> Result<Option<FollowLine>, StoreError> {
        if self.knows {
            self.told = ToldLog::from(log.len());
            let (bytes, lines, revision) = (log.len(), log.lines(), log.revision);
            return Ok(Some(FollowLine::Replaced(LogSize { bytes, lines, revision })));
        }
        // Of what was taken back more than once nobody knows how much stands still.
        let kept = if known == log.revision.checked_sub(1) { log.kept } else { 0 };
        match self.told.replaced(kept, log.len()) {
            GrowthStep::Same => Ok(None),
            GrowthStep::Shorter => {
                self.told.bytes = log.len();
                Ok(None)
            }
            GrowthStep::Seek(seek) => {
                let found = sought(store, log, *seek).await?;
                self.told.bytes = found.unwrap_or(kept);
                Ok(found.is_none().then_some(FollowLine::Gap))
            }
        }
    }
}

/// Behind which byte of a log that is found which is sought.
async fn sought(store: &Store, log: &Extent, mut seek: Seek) -> Result<Option<u64>, StoreError> {
    while seek.is_of_use()
        && let Some(piece) = store.log_piece(log, seek.at).await?
    {
        seek.look(&piece);
    }
    Ok(seek.found())
}
