//! Data directory: locked by one server at a time; the lock file says where that server is reached.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::server::identity::token;

#[cfg(test)]
mod tests;

/// Name of the database in the data directory.
pub const DATABASE: &str = "job_runner.sqlite";

/// Name of the file that is locked while a server runs, and holds its address.
const LOCK: &str = "server.lock";
/// Longest address that is read from the lock file, in bytes.
const LONGEST: u64 = 100;

/// Reason why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The directory cannot be created or written.
    #[error("the data directory {0} cannot be used")]
    Unusable(PathBuf, #[source] io::Error),
    /// The directory may be written by all users, who could put files into it.
    #[error("other users may write into the data directory {0}; chmod 700 it")]
    Writable(PathBuf),
    /// Another server has locked the directory.
    #[error("another server works in the data directory {0}; one at a time is allowed")]
    Taken(PathBuf),
}

/// Data directory, locked for as long as this value lives.
#[derive(Debug)]
pub struct Data {
    lock: Flock<File>,
}

impl Data {
    /// Locks the directory, and creates it where it is missing.
    ///
    /// # Errors
    /// If the directory cannot be written, or by all users, or another server has locked it.
    pub fn take(path: &Path) -> Result<Self, DataError> {
        let unusable = |source| DataError::Unusable(path.to_owned(), source);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        if std::fs::metadata(path).map_err(unusable)?.permissions().mode() & 0o002 != 0 {
            return Err(DataError::Writable(path.to_owned()));
        }
        let file = private_file(&path.join(LOCK)).map_err(unusable)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                // Until `tell`, a command finds no address, rather than that of an earlier server.
                lock.set_len(0).map_err(unusable)?;
                Ok(Self { lock })
            }
            Err((_, Errno::EWOULDBLOCK)) => Err(DataError::Taken(path.to_owned())),
            Err((_, e)) => Err(unusable(e.into())),
        }
    }

    /// Writes the address at which the server is reached from now on.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn tell(&mut self, http: SocketAddr) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.rewind()?;
        writeln!(self.lock, "{http}")
    }
}

/// Data that other users could or can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exposed {
    /// The group may write into the directory.
    Writable(PathBuf),
    /// Other users may list the directory.
    Listed(PathBuf),
    /// Other users could read a file, which had this mode; they cannot any more.
    File(PathBuf, u32),
}

impl Exposed {
    /// Logs a warning that says what to do.
    pub fn log(&self) {
        match self {
            Self::Writable(path) => tracing::warn!(
                target: "job_runner.server",
                path = %path.display(),
                "group may write into the data directory; chmod 700 it"
            ),
            Self::Listed(path) => tracing::warn!(
                target: "job_runner.server",
                path = %path.display(),
                "other users may list the data directory; chmod 700 it"
            ),
            Self::File(path, mode) => tracing::warn!(
                target: "job_runner.server",
                path = %path.display(),
                mode = %format_args!("{mode:o}"),
                "file could be read by other users; its mode is 600 now"
            ),
        }
    }
}

/// Makes the files of a data directory private to this user, whatever the umask and the mode of the directory.
///
/// Removes the permissions of others from existing files. Returns what others may have read or may still see.
///
/// # Errors
/// If a file cannot be examined or changed.
pub fn keep_private(path: &Path) -> io::Result<Vec<Exposed>> {
    let mut exposed = Vec::new();
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & 0o020 != 0 {
        exposed.push(Exposed::Writable(path.to_owned()));
    } else if mode & 0o055 != 0 {
        exposed.push(Exposed::Listed(path.to_owned()));
    }
    for name in [DATABASE, "job_runner.sqlite-wal", "job_runner.sqlite-shm", token::FILE] {
        let file = path.join(name);
        match std::fs::metadata(&file) {
            Ok(found) if found.permissions().mode() & 0o077 != 0 => {
                let mode = found.permissions().mode() & 0o777;
                std::fs::set_permissions(&file, Permissions::from_mode(0o600))?;
                exposed.push(Exposed::File(file, mode));
            }
            Ok(_) => {}
            // A first start finds none of the files, and SQLite removes its other two when a database is closed.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(exposed)
}

/// Returns the path of the database file, and creates it before SQLite does, private to this user.
///
/// # Errors
/// If the file cannot be created or changed.
pub fn private_database(path: &Path) -> io::Result<PathBuf> {
    let file = path.join(DATABASE);
    // SQLite gives its other files the mode of this one.
    drop(private_file(&file)?);
    Ok(file)
}

/// Opens a file; creates it for this user alone, whatever the umask.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // The mode above counts for a new file only, and the umask may have taken bits from it.
    if file.metadata()?.permissions().mode() & 0o777 != 0o600 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Returns the address of the server that has locked a directory; `None` if none has.
///
/// # Errors
/// If the lock file cannot be read or locked.
pub fn at_work(path: &Path) -> io::Result<Option<SocketAddr>> {
    let file = match File::open(path.join(LOCK)) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    // A shared lock is refused exactly while a server holds the exclusive one.
    let mut file = match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => return Ok(None),
        Err((file, Errno::EWOULDBLOCK)) => file.take(LONGEST),
        Err((_, e)) => return Err(e.into()),
    };
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    // A server that has just started has not written its address yet, and counts as none.
    Ok(text.trim_end().parse().ok())
}
