//! Files of scripts: written for each attempt, into the emptied file of a former script where there is one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::logs::write_private;
use super::shim::exclusive_file::ExclusiveFile;
use super::spares::Spares;

/// Name of the directory below the state directory that holds emptied files of scripts. Jobs see only the script
/// directory.
const SPARES: &str = "script_spares";

/// Writer of scripts, with the files that can be used again. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ScriptFiles {
    spares: Arc<Spares>,
}

impl ScriptFiles {
    /// Starts without spare files: those of an earlier worker are removed.
    pub(super) fn new(state: &Path) -> Self {
        Self { spares: Arc::new(Spares::new(state.join(SPARES))) }
    }

    /// Writes a script to a path that does not exist, with mode 0600.
    ///
    /// # Errors
    /// If the path exists or the script cannot be written in full; then there is no file.
    pub(super) fn write(&self, path: &Path, script: &[u8]) -> io::Result<()> {
        if let Some(spare) = self.spares.take() {
            if reuse(&spare, path, script).is_ok() {
                return Ok(());
            }
            let _ = fs::remove_file(&spare);
        }
        write_private(path, script)
    }

    /// Returns the path to which the file of a script is moved when the script is over.
    pub(super) fn spare_of(&self, script: &Path) -> Option<PathBuf> {
        script.file_name().map(|name| self.spares.place(name))
    }

    /// Returns the spare files, for the connections that hear of new ones.
    pub(super) fn spares(&self) -> Arc<Spares> {
        Arc::clone(&self.spares)
    }
}

/// Writes a script into a spare file and renames it.
fn reuse(spare: &Path, path: &Path, script: &[u8]) -> io::Result<()> {
    let mut file = ExclusiveFile::open(spare).map_err(|_| io::Error::from(io::ErrorKind::ResourceBusy))?;
    file.fill(script)?;
    drop(file);
    // As exclusive as the creation of a file.
    renameat2(AT_FDCWD, spare, AT_FDCWD, path, RenameFlags::RENAME_NOREPLACE)?;
    Ok(())
}

#[cfg(test)]
mod tests;
