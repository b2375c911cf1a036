//! State directory: locked by one worker at a time, before anything else happens.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::exit_code::{EXIT_CANNOT_CREATE, EXIT_TEMPORARY};
use crate::run::{chain_of, errno};

/// Time that the lock of a killed worker may outlive it.
const RELEASED_WITHIN: Duration = Duration::from_secs(1);

/// Reason why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The directory or the lock file cannot be created or written.
    #[error("state_path: {path} cannot be used: {source}")]
    Unusable {
        /// Path of the directory.
        path: PathBuf,
        /// Error of the file system.
        source: io::Error,
    },
    /// The directory, or a file in it, belongs to another user.
    #[error("state_path: {path} {fault}; nobody but the worker's user and root may put anything there")]
    Foreign {
        /// Path of the foreign file or directory.
        path: PathBuf,
        /// Owner of the file, as part of a sentence.
        fault: String,
    },
    /// Another worker holds the lock.
    #[error("state_path: another worker ({holder}) works in {path}; one worker at a time is allowed")]
    Taken {
        /// Path of the directory.
        path: PathBuf,
        /// Holder of the lock, as the lock file names it: pid and host.
        holder: String,
    },
}

impl StateError {
    /// Returns the exit code of the process for this error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unusable { .. } | Self::Foreign { .. } => EXIT_CANNOT_CREATE,
            Self::Taken { .. } => EXIT_TEMPORARY,
        }
    }
}

fn is_shortage(e: &io::Error) -> bool {
    e.raw_os_error().and_then(errno::shortage_of).is_some()
}

/// Creates the directory if it is missing, checks its owner and locks it for as long as the result lives.
///
/// # Errors
/// If the directory cannot be used, belongs in part to another user, or is locked by another worker.
pub fn take(path: &Path) -> Result<Flock<File>, StateError> {
    let unusable = |source| StateError::Unusable { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
    close_to_others(path)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path.join("worker.lock"))
        .map_err(unusable)?;
    match lock(file) {
        Some(Ok(mut lock)) => {
            let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let holder = format!("pid {} on {host}\n", std::process::id());
            // The file is overwritten rather than truncated first, so that its block is still there when the disk is
            // full.
            let written = lock.write_all(holder.as_bytes()).and_then(|()| lock.set_len(holder.len() as u64));
            match written {
                // The lock is held; an unreadable holder must not keep a worker from coming back.
                Err(e) if is_shortage(&e) => {}
                written => written.map_err(unusable)?,
            }
            Ok(lock)
        }
        Some(Err(e)) => Err(unusable(e.into())),
        None => {
            let mut holder = String::new();
            let _ = File::open(path.join("worker.lock")).and_then(|file| file.take(1000).read_to_string(&mut holder));
            let holder = holder.trim().chars().take(200).collect();
            Err(StateError::Taken { path: path.to_owned(), holder })
        }
    }
}

/// Locks the file; `None` if another process holds the lock for longer than [`RELEASED_WITHIN`].
///
/// A worker that is killed while it forks leaves the lock to its child, which releases it when it executes a shim.
fn lock(file: File) -> Option<Result<Flock<File>, Errno>> {
    let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Err((file, Errno::EWOULDBLOCK)) => file,
        locked => return Some(locked.map_err(|(_, e)| e)),
    };
    let (locked, is_locked) = mpsc::sync_channel(1);
    // The thread may get the lock too late; its result is then dropped, and the lock with it.
    std::thread::spawn(move || locked.send(Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| e)));
    is_locked.recv_timeout(RELEASED_WITHIN).ok()
}

/// Takes write access from group and others, and checks that nothing in the directory belongs to another user: files in
/// it are written and removed with all rights of the worker.
fn close_to_others(path: &Path) -> Result<(), StateError> {
    let unusable = |source| StateError::Unusable { path: path.to_owned(), source };
    let directory = fs::metadata(path).map_err(unusable)?;
    owned(path, &directory)?;
    let (mode, others) = (directory.permissions().mode(), 0o022);
    if mode & others != 0 {
        match fs::set_permissions(path, Permissions::from_mode(mode & 0o7777 & !others)) {
            Ok(()) => tracing::warn!(
                target: "job_runner_worker.runner",
                path = %path.display(),
                mode = %format_args!("{:03o}", mode & 0o777),
                "state_path could be written by others; it is closed to them"
            ),
            // The directory belongs to root, who gives the worker access by a group.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied && mode & 0o002 == 0 => {}
            Err(e) => return Err(unusable(e)),
        }
    }
    for entry in fs::read_dir(path).map_err(unusable)? {
        let entry = entry.map_err(unusable)?;
        // The owner of a link counts, not that of its target, because the owner chose the target.
        match entry.metadata() {
            Ok(metadata) => owned(&entry.path(), &metadata)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(unusable(e)),
        }
    }
    Ok(())
}

fn owned(path: &Path, metadata: &Metadata) -> Result<(), StateError> {
    let (owner, us) = (metadata.uid(), nix::unistd::geteuid().as_raw());
    if owner == us || owner == 0 {
        return Ok(());
    }
    let fault = format!("belongs to the user with number {owner}, and the worker runs as {us}");
    Err(StateError::Foreign { path: path.to_owned(), fault })
}

/// File with the process id, removed on drop.
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes the process id to the file. A full disk is only logged.
    ///
    /// # Errors
    /// If the file cannot be written, as one line that names it.
    pub fn write(path: &Path) -> Result<Self, String> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).custom_flags(libc::O_NOFOLLOW).open(path);
        match file.and_then(|mut file| writeln!(file, "{}", std::process::id())) {
            // A disk that is full keeps no worker from coming back.
            Err(e) if !is_shortage(&e) => Err(format!("pid_file: {} cannot be written: {e}", path.display())),
            Err(e) => {
                tracing::warn!(target: "job_runner_worker.runner", path = %path.display(), error = %chain_of(&e), "pid_file is not written");
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
