//! Checks before a task is fetched: a worker whose shared disk is not there would fail every task.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// Paths that are checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreTaskChecks {
    /// Directories in which a file can be made, and files that can be written.
    pub write: Vec<PathBuf>,
    /// Files and directories that can be read.
    pub read: Vec<PathBuf>,
}

impl PreTaskChecks {
    /// Returns the first failure as a sentence; `None` where all paths are usable. Blocks while a disk does not answer.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let readable = self.read.iter().filter_map(|path| can_read(path).err().map(|e| (path, "read", e)));
        let writable = self.write.iter().filter_map(|path| can_write(path).err().map(|e| (path, "written to", e)));
        let (path, what, error) = readable.chain(writable).next()?;
        Some(format!("{} cannot be {what}: {error}", path.display()))
    }
}

fn can_read(path: &Path) -> io::Result<()> {
    if path.is_dir() { fs::read_dir(path).map(drop) } else { File::open(path).map(drop) }
}

fn can_write(path: &Path) -> io::Result<()> {
    if !path.is_dir() {
        return OpenOptions::new().append(true).create(true).open(path).map(drop);
    }
    let probe = path.join(format!(".flamenco-worker-{}", std::process::id()));
    let made = OpenOptions::new().write(true).create(true).truncate(true).open(&probe).map(drop);
    made.and_then(|()| fs::remove_file(&probe))
}
