//! The state directory: one worker at a time, found out before anything else happens.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::{EXIT_CANNOT_CREATE, EXIT_TEMPORARY};
use crate::run::shortage;

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

fn is_shortage(e: &io::Error) -> bool {
    e.raw_os_error().and_then(shortage::of_errno).is_some()
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
            let holder = format!("pid {} on {host}\n", std::process::id());
            // Written over what is there, so that a disk that is full since then has room for it.
            let written = lock.write_all(holder.as_bytes()).and_then(|()| lock.set_len(holder.len() as u64));
            match written {
                // The lock holds; that nobody can read whose it is must not keep a worker from coming back.
                Err(e) if is_shortage(&e) => {}
                written => written.map_err(unusable)?,
            }
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
        match std::fs::write(path, format!("{}\n", std::process::id())) {
            // A disk that is full keeps no worker from coming back.
            Err(e) if !is_shortage(&e) => Err(format!("pid_file: {} cannot be written: {e}", path.display())),
            Err(e) => {
                tracing::warn!(target: "job_runner_worker.runner", "pid_file: {} is not written: {e}", path.display());
                Ok(Self(path.to_owned()))
            }
            Ok(()) => Ok(Self(path.to_owned())),
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
