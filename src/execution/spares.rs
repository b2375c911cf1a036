//! Spare files: records and emptied scripts of finished runs, kept to become those of later runs.
//!
//! Creating and removing a file is among the most expensive steps of a short run: ext4 passes over every inode that was
//! freed in the last minute to find a new one, which takes 0.2 to 1.1 ms per run. A spare is renamed instead. Correctness
//! does not depend on spares: without one, a file is created.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most spare files that are kept.
const KEPT: usize = 256;

/// Spare files of one worker, in a directory of their own.
#[derive(Debug)]
pub(super) struct Spares {
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: Vec<PathBuf>,
    /// Number that names the next spare file; counts up from 0.
    next_name: u64,
}

impl Spares {
    /// Starts without spares and with an empty directory: those of an earlier worker are removed.
    pub(super) fn new(directory: PathBuf) -> Self {
        for left in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let _ = fs::remove_file(left.path());
        }
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        Self { directory, state: Mutex::default() }
    }

    /// Takes a spare file; `None` if there is none.
    pub(super) fn take(&self) -> Option<PathBuf> {
        self.state().kept.pop()
    }

    /// Keeps a file that is no longer needed, or removes it if there are enough.
    pub(super) fn put(&self, file: &Path) {
        let mut state = self.state();
        let kept = state.kept.len() < KEPT && {
            let spare = self.directory.join(state.next_name.to_string());
            state.next_name += 1;
            // A numbered name of its own, so that two runs that end at once do not meet.
            fs::rename(file, &spare).is_ok_and(|()| {
                state.kept.push(spare);
                true
            })
        };
        if !kept {
            let _ = fs::remove_file(file);
        }
    }

    /// Returns the path of a spare file in this directory that another process moves there.
    pub(super) fn place(&self, name: &OsStr) -> PathBuf {
        self.directory.join(name)
    }

    /// Keeps a file that lies in the directory, or removes it if there are enough.
    pub(super) fn adopt(&self, file: PathBuf) {
        let mut state = self.state();
        if state.kept.len() < KEPT {
            state.kept.push(file);
        } else {
            let _ = fs::remove_file(file);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        for spare in &self.state().kept {
            let _ = fs::remove_file(spare);
        }
    }
}

#[cfg(test)]
mod tests;
