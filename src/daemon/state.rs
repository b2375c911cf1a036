//! The state directory: one worker at a time, found out before anything else happens.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::{EXIT_CANNOT_CREATE, EXIT_TEMPORARY};

/// Why the state directory is not ours.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be made or written.
    #[error("state_path: {path} cannot be used: {source}")]
    Unusable {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else has it.
    #[error("state_path: another worker ({holder}) works in {path}; one worker at a time is allowed")]
    Taken {
        /// Where.
        path: PathBuf,
        /// Who.
        holder: String,
    },
}

impl StateError {
    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unusable { .. } => EXIT_CANNOT_CREATE,
            Self::Taken { .. } => EXIT_TEMPORARY,
        }
    }
}

/// Takes the directory for as long as the answer lives.
///
/// # Errors
/// Why it is not ours.
pub fn take(path: &Path) -> Result<Flock<File>, StateError> {
    let unusable = |source| StateError::Unusable { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path.join("worker.lock"))
        .map_err(unusable)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let written = lock
                .set_len(0)
                .and_then(|()| lock.rewind())
                .and_then(|()| writeln!(lock, "pid {} on {host}", std::process::id()));
            written.map_err(unusable)?;
            Ok(lock)
        }
        Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = holder.trim().chars().take(200).collect();
            Err(StateError::Taken { path: path.to_owned(), holder })
        }
        Err((_, e)) => Err(unusable(e.into())),
    }
}

/// A file with our process id, removed when we leave.
pub struct PidFile(PathBuf);

impl PidFile {
    /// # Errors
    /// One line that names the file and what is wrong.
    pub fn write(path: &Path) -> Result<Self, String> {
        std::fs::write(path, format!("{}\n", std::process::id()))
            .map_err(|e| format!("pid_file: {} cannot be written: {e}", path.display()))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
