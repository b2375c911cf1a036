//! Records of finished runs that left processes running: a later kill finds those processes by them.
//!
//! A record moves here from the directory of runs and is removed once no process of the run lives: by its shim, or by
//! the cleanup after dead shims. There are as many records as there are finished runs with living processes.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::remains;
use crate::run::RunId;
use crate::wire::disk;

/// The directory of leftover records below the worker's state directory.
#[derive(Clone, Debug)]
pub(super) struct LeftBehind {
    directory: PathBuf,
}

impl LeftBehind {
    pub(super) fn new(state: &Path) -> Self {
        Self { directory: state.join(disk::LEFTOVERS) }
    }

    /// Moves the record of a run here if the run left processes running. Returns whether it was moved.
    pub(super) fn take(&self, record: &Path) -> bool {
        let Some(left) = remains::with_leftovers(record) else { return false };
        let Some(name) = record.file_name() else { return false };
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        let here = self.directory.join(name);
        if fs::rename(record, &here).is_err() {
            return false;
        }
        // A shim that exited before the rename did not find the record here and could not remove it.
        if !Path::new(&left.socket).exists() {
            clear(&here);
        }
        true
    }

    /// Returns the records of all attempts of a run.
    pub(super) fn of(&self, run: RunId) -> Vec<PathBuf> {
        let is_of = |path: &PathBuf| {
            let named = path.file_name().and_then(|name| disk::named(name.to_str()?));
            named.is_some_and(|(named, _)| named == run)
        };
        self.all().filter(is_of).collect()
    }

    /// Removes the records of runs of which no process lives any more.
    pub(super) fn clear_deserted(&self) {
        self.all().for_each(|record| clear(&record));
    }

    fn all(&self) -> impl Iterator<Item = PathBuf> {
        fs::read_dir(&self.directory).into_iter().flatten().flatten().map(|entry| entry.path())
    }
}

/// Removes a record whose processes are all gone, or that names none.
fn clear(record: &Path) {
    if remains::with_leftovers(record).is_none_or(|left| remains::is_deserted(&left)) {
        let _ = fs::remove_file(record);
    }
}

#[cfg(test)]
mod tests;
