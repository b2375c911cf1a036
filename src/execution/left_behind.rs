//! Records of runs that are done with and have left somebody running: by them a kill that comes later finds who that is.
//!
//! A record moves here from the directory of runs, and goes when nobody of it lives: its shim removes it, or whoever clears
//! away what dead shims could not remove. There are as many as there are runs of which somebody still lives.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::remains;
use crate::run::RunId;
use crate::wire::disk;

/// The records in the state directory of a worker.
#[derive(Clone, Debug)]
pub(super) struct LeftBehind {
    directory: PathBuf,
}

impl LeftBehind {
    /// Those in a state directory.
    pub(super) fn new(state: &Path) -> Self {
        Self { directory: state.join(disk::LEFTOVERS) }
    }

    /// Takes the record of a run in that has left somebody running. Whether it did.
    pub(super) fn take(&self, record: &Path) -> bool {
        let Some(left) = remains::with_leftovers(record) else { return false };
        let Some(name) = record.file_name() else { return false };
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        let here = self.directory.join(name);
        if fs::rename(record, &here).is_err() {
            return false;
        }
        // A shim that went before this could not remove it.
        if !Path::new(&left.socket).exists() {
            clear(&here);
        }
        true
    }

    /// Those of a run.
    pub(super) fn of(&self, run: RunId) -> Vec<PathBuf> {
        let is_of = |path: &PathBuf| {
            let named = path.file_name().and_then(|name| disk::named(name.to_str()?));
            named.is_some_and(|(named, _)| named == run)
        };
        self.all().filter(is_of).collect()
    }

    /// Removes those of which nobody lives any more.
    pub(super) fn clear_deserted(&self) {
        self.all().for_each(|record| clear(&record));
    }

    fn all(&self) -> impl Iterator<Item = PathBuf> {
        fs::read_dir(&self.directory).into_iter().flatten().flatten().map(|entry| entry.path())
    }
}

/// Removes a record of which nobody lives any more, or that names nobody.
fn clear(record: &Path) {
    if remains::with_leftovers(record).is_none_or(|left| remains::is_deserted(&left)) {
        let _ = fs::remove_file(record);
    }
}

#[cfg(test)]
mod tests;
