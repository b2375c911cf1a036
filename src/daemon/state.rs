//! The state directory: one worker at a time, found out before anything else happens.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::{EXIT_CANNOT_CREATE, EXIT_TEMPORARY};
use crate::run::shortage;

/// How long the lock of a worker that was killed may outlive it.
const RELEASED_WITHIN: Duration = Duration::from_secs(1);

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
    /// What is in it is somebody else's.
    #[error("state_path: {path} {fault}; nobody but the worker's user and root may put anything there")]
    Foreign {
        /// What.
        path: PathBuf,
        /// Whose, or why it cannot be seen.
        fault: String,
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
            Self::Unusable { .. } | Self::Foreign { .. } => EXIT_CANNOT_CREATE,
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
            // Written over what is there, so that a disk that is full since then has room for it.
            let written = lock.write_all(holder.as_bytes()).and_then(|()| lock.set_len(holder.len() as u64));
            match written {
                // The lock holds; that nobody can read whose it is must not keep a worker from coming back.
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

/// Locks the file, or `None` where somebody else holds it for longer than [`RELEASED_WITHIN`].
///
/// A worker that is killed while it forks leaves the lock to its child, which lets go when it executes a shim.
fn lock(file: File) -> Option<Result<Flock<File>, Errno>> {
    let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Err((file, Errno::EWOULDBLOCK)) => file,
        locked => return Some(locked.map_err(|(_, e)| e)),
    };
    let (locked, is_locked) = mpsc::sync_channel(1);
    // Where it comes too late, nobody receives the lock, and it is let go.
    std::thread::spawn(move || locked.send(Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| e)));
    is_locked.recv_timeout(RELEASED_WITHIN).ok()
}

/// Makes sure that nobody else can put anything into the directory, and that nobody did: what is there is written and
/// removed with all rights that we have.
fn close_to_others(path: &Path) -> Result<(), StateError> {
    let unusable = |source| StateError::Unusable { path: path.to_owned(), source };
    let directory = fs::metadata(path).map_err(unusable)?;
    owned(path, &directory)?;
    let (mode, others) = (directory.permissions().mode(), 0o022);
    if mode & others != 0 {
        match fs::set_permissions(path, Permissions::from_mode(mode & 0o7777 & !others)) {
            Ok(()) => tracing::warn!(
                target: "job_runner_worker.runner",
                "state_path: {} could be written by others, mode {:03o}; it is closed to them",
                path.display(),
                mode & 0o777
            ),
            // Root's, who lets us in by a group.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied && mode & 0o002 == 0 => {}
            Err(e) => return Err(unusable(e)),
        }
    }
    for entry in fs::read_dir(path).map_err(unusable)? {
        let entry = entry.map_err(unusable)?;
        // Not followed: whose a link is, is whose word it is.
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

/// A file with our process id, removed when we leave.
pub struct PidFile(PathBuf);

impl PidFile {
    /// # Errors
    /// One line that names the file and what is wrong.
    pub fn write(path: &Path) -> Result<Self, String> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).custom_flags(libc::O_NOFOLLOW).open(path);
        match file.and_then(|mut file| writeln!(file, "{}", std::process::id())) {
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
