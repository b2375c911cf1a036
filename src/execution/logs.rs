//! Files of runs in the state directory: the record and the output of each attempt.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::left_behind::LeftBehind;
use super::shim::spool;
use super::spares::Spares;
use crate::report::{KeptOutput, LogSource};
use crate::run::{Attempt, RunId, chain_of, excerpt};
use crate::wire::disk;

/// Most bytes of a journal that are read; the steps program writes fewer.
const MAX_JOURNAL: u64 = 512 * 1024;

/// Paths of the records and outputs of all runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RunFiles {
    directory: PathBuf,
    left_behind: LeftBehind,
    spares: Arc<Spares>,
}

impl RunFiles {
    /// Creates the directory `runs` below the state directory.
    ///
    /// # Errors
    /// If a directory cannot be created.
    pub fn new(state: &Path) -> io::Result<Self> {
        let directory = state.join("runs");
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let left_behind = LeftBehind::new(state);
        Ok(Self { directory, left_behind, spares: Arc::new(Spares::new(state.join("spares"))) })
    }

    /// Takes a spare file that may become the next record.
    pub(super) fn spare(&self) -> Option<PathBuf> {
        self.spares.take()
    }

    /// Returns the records of finished runs that left processes running.
    pub(super) fn left_behind(&self) -> &LeftBehind {
        &self.left_behind
    }

    /// Creates the directory anew if it was removed, for example by a job.
    pub(super) fn restore(&self) {
        if self.directory.is_dir() {
            return;
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        let path = self.directory.display();
        match made {
            Ok(()) => tracing::error!(
                target: "job_runner_worker.worker",
                %path,
                "directory of the runs was removed; created again"
            ),
            Err(e) => tracing::error!(
                target: "job_runner_worker.worker",
                %path,
                error = %chain_of(&e),
                "directory of the runs was removed and cannot be created"
            ),
        }
    }

    /// Returns the path of the record of an attempt.
    #[must_use]
    pub fn record_path(&self, run: RunId, attempt: Attempt) -> PathBuf {
        self.directory.join(disk::record_name(run, attempt))
    }

    /// Returns the path of the output of an attempt.
    #[must_use]
    pub fn output_path(&self, run: RunId, attempt: Attempt) -> PathBuf {
        self.directory.join(disk::output_name(run, attempt))
    }

    /// Returns the path of the journal of an attempt, which runs of several commands have.
    #[must_use]
    pub fn journal_path(&self, run: RunId, attempt: Attempt) -> PathBuf {
        self.directory.join(disk::journal_name(run, attempt))
    }

    /// Lists all attempts with a record, an output or a journal here, in order and without duplicates.
    #[must_use]
    pub fn all(&self) -> Vec<(RunId, Attempt)> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut all: Vec<_> = entries.filter_map(|entry| disk::named(entry.file_name().to_str()?)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl LogSource for RunFiles {
    fn text(&self, run: RunId, attempt: Attempt, limit: u64) -> io::Result<(String, u64)> {
        let kept = spool::read(&self.output_path(run, attempt))?;
        Ok((excerpt::text(&kept.head, kept.between, &kept.tail, limit), kept.total))
    }

    fn piece(&self, run: RunId, attempt: Attempt, from: u64, most: u64) -> io::Result<Option<Vec<u8>>> {
        spool::read_piece(&self.output_path(run, attempt), from, most)
    }

    fn kept(&self, run: RunId, attempt: Attempt, from: u64, most: u64) -> io::Result<KeptOutput> {
        spool::read_kept(&self.output_path(run, attempt), from, most).map(|kept| match kept {
            spool::KeptPart::Bytes(bytes) => KeptOutput::Bytes(bytes),
            spool::KeptPart::Gap(bytes) => KeptOutput::Gap(bytes),
        })
    }

    fn journal(&self, run: RunId, attempt: Attempt) -> io::Result<Vec<u8>> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(self.journal_path(run, attempt));
        let mut bytes = Vec::new();
        match file {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            file => drop(file?.take(MAX_JOURNAL).read_to_end(&mut bytes)?),
        }
        Ok(bytes)
    }

    fn forget(&self, run: RunId, attempt: Attempt) {
        // The record goes last: while it exists, its output is accounted for.
        let _ = fs::remove_file(self.output_path(run, attempt));
        let _ = fs::remove_file(self.journal_path(run, attempt));
        crash_point!(OutputRemoved);
        let record = self.record_path(run, attempt);
        // A record whose processes still live is kept apart; any other becomes the record of a later run.
        if !self.left_behind.take(&record) {
            self.spares.put(&record);
        }
    }
}

/// Writes a new file with mode 0600. Fails if the path exists; a file that could not be written in full is removed.
pub(super) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content).inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}
