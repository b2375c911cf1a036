//! Exclusive access to the file of a script: the proof that the file is nobody else's, so that it can become the file of
//! another script.
//!
//! The proof is a lease of the kernel, which is refused while any other process has the file open or mapped, or executes
//! it. It covers readers that are no processes of the run. A bind mount of the file is no open file and is not noticed.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::unistd::Uid;

use super::syscall;

/// Mode of a script's file.
pub const MODE: u32 = 0o600;

/// An existing file that no other process has open. Until it is dropped, a process that opens the file waits.
#[derive(Debug)]
pub struct ExclusiveFile(File);

/// Reason why a file is not exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotExclusive {
    /// This file is in use, or is no longer as a script's file was created. Another file may be exclusive.
    ThisFile,
    /// The system cannot prove it of any file in this directory.
    AnyFile,
}

impl ExclusiveFile {
    /// Opens a file for writing.
    ///
    /// # Errors
    /// If the file is another process's too, has a second name, or does not have the type, owner and mode of a script.
    pub fn open(path: &Path) -> Result<Self, NotExclusive> {
        let file = OpenOptions::new()
            .write(true)
            // A pipe that was put in place of the file must not block this process.
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
            .map_err(|_| NotExclusive::ThisFile)?;
        if !file.metadata().is_ok_and(|about| is_as_created(&about)) {
            return Err(NotExclusive::ThisFile);
        }
        syscall::lease(file.as_fd()).map_err(|e| of_lease(&e))?;
        Ok(Self(file))
    }

    /// Removes the content.
    ///
    /// # Errors
    /// If the disk reports an error.
    pub fn empty(&self) -> io::Result<()> {
        self.0.set_len(0)
    }

    /// Writes the content of an empty file.
    ///
    /// # Errors
    /// If the file is not empty, or the disk reports an error.
    pub fn fill(&mut self, content: &[u8]) -> io::Result<()> {
        if self.0.metadata()?.len() > 0 {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.0.write_all(content)
    }
}

impl Drop for ExclusiveFile {
    fn drop(&mut self) {
        // Closing alone would not do in the worker: a process that it starts at this moment has the descriptor until it
        // executes its program, and who opens the file would wait for that.
        let _ = syscall::release(self.0.as_fd());
    }
}

/// Returns whether a file has one name, and the type, owner and mode that a script's file is created with. A job may have
/// changed them.
fn is_as_created(about: &Metadata) -> bool {
    about.is_file() && about.nlink() == 1 && about.mode() & 0o7777 == MODE && about.uid() == Uid::effective().as_raw()
}

fn of_lease(refused: &io::Error) -> NotExclusive {
    match refused.kind() {
        io::ErrorKind::WouldBlock => NotExclusive::ThisFile,
        _ => NotExclusive::AnyFile,
    }
}

#[cfg(test)]
mod tests;
