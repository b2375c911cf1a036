//! The data directory: one server at a time, and where to find the one that works.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

#[cfg(test)]
mod tests;

/// The file that is locked while a server works. It holds the address of the server.
const LOCK: &str = "server.lock";
/// No address is longer.
const LONGEST: u64 = 100;

/// Why the data directory is not ours.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It cannot be made or written.
    #[error("the data directory {0} cannot be used")]
    Unusable(PathBuf, #[source] io::Error),
    /// Another server has it.
    #[error("another server works in the data directory {0}; one at a time is allowed")]
    Taken(PathBuf),
}

/// The directory, ours for as long as this lives.
#[derive(Debug)]
pub struct Data {
    lock: Flock<File>,
}

impl Data {
    /// Takes the directory, which is made where it is missing.
    ///
    /// # Errors
    /// Why it is not ours.
    pub fn take(path: &Path) -> Result<Self, DataError> {
        let unusable = |source| DataError::Unusable(path.to_owned(), source);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = file.open(path.join(LOCK)).map_err(unusable)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                lock.set_len(0).map_err(unusable)?;
                Ok(Self { lock })
            }
            Err((_, Errno::EWOULDBLOCK)) => Err(DataError::Taken(path.to_owned())),
            Err((_, e)) => Err(unusable(e.into())),
        }
    }

    /// Tells where the server is reached from now on.
    ///
    /// # Errors
    /// What the system says.
    pub fn tell(&mut self, http: SocketAddr) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.rewind()?;
        writeln!(self.lock, "{http}")
    }
}

/// Where the server is reached that works in a directory; nothing if none does.
///
/// # Errors
/// That it cannot be found out.
pub fn at_work(path: &Path) -> io::Result<Option<SocketAddr>> {
    let file = match File::open(path.join(LOCK)) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    // Somebody who holds it exclusively lets nobody share it.
    let mut file = match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => return Ok(None),
        Err((file, Errno::EWOULDBLOCK)) => file.take(LONGEST),
        Err((_, e)) => return Err(e.into()),
    };
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    // A server that has just begun has not written it yet, and is as good as none.
    Ok(text.trim_end().parse().ok())
}
