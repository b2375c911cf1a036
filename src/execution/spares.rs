//! Spare files: records of runs that are done with, kept to become the records of the next.
//!
//! To make and to remove a file is among the dearest things of a short run: a file system that reuses nothing which was
//! just freed passes over all of it each time. A spare changes its name instead. Nothing depends on it: where there is
//! none, a file is made.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many are kept at most.
const KEPT: usize = 256;

/// The spare files of a worker.
#[derive(Debug)]
pub(super) struct Spares {
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: Vec<PathBuf>,
    /// How many there have been: the next name.
    names: u64,
}

impl Spares {
    /// None, in an empty directory: what a dead worker kept is removed.
    pub(super) fn new(directory: PathBuf) -> Self {
        for left in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let _ = fs::remove_file(left.path());
        }
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        Self { directory, state: Mutex::default() }
    }

    /// Takes one away.
    pub(super) fn take(&self) -> Option<PathBuf> {
        self.state().kept.pop()
    }

    /// Keeps a file that nobody needs any more, or removes it.
    pub(super) fn put(&self, file: &Path) {
        let mut state = self.state();
        let kept = state.kept.len() < KEPT && {
            let spare = self.directory.join(state.names.to_string());
            state.names += 1;
            fs::rename(file, &spare).is_ok_and(|()| {
                state.kept.push(spare);
                true
            })
        };
        if !kept {
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
