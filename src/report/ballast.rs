//! Ballast: a file that reserves disk space for the outbox and is deleted when the disk is full.
//!
//! On a full disk not even rows can be deleted, so that the outbox could not drain. The space of this file is enough
//! for that; when there is enough space again, the file is created again.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::statvfs;

/// Largest size in bytes: the size to which SQLite's write-ahead log grows before it is carried over.
const LARGEST: u64 = 4 * 1024 * 1024;
/// Smallest size in bytes, whatever the reserve.
const SMALLEST: u64 = 64 * 1024;
/// Divisor of the reserve that gives the size.
const SHARE: u64 = 16;

/// The reserving file, which may exist or not.
#[derive(Debug)]
pub struct Ballast {
    path: PathBuf,
    /// Size of the file in bytes.
    size: u64,
    /// Free bytes below which the file is not created again.
    reserve: u64,
    there: bool,
}

impl Ballast {
    /// Prepares the ballast in a directory whose disk should have `reserve` free bytes, and creates the file if there
    /// is space.
    #[must_use]
    pub fn new(directory: &Path, reserve: u64) -> Self {
        let path = directory.join("ballast");
        let size = (reserve / SHARE).clamp(SMALLEST, LARGEST);
        // A file of another size was made for another reserve, and is made anew.
        let there = fs::symlink_metadata(&path).is_ok_and(|file| file.len() == size);
        let mut ballast = Self { path, size, reserve, there };
        ballast.restore();
        ballast
    }

    /// Deletes the file, so that its space can be used.
    pub fn release(&mut self) {
        let _ = fs::remove_file(&self.path);
        self.there = false;
    }

    /// Creates the file again where there is more space than the reserve and the file need.
    pub fn restore(&mut self) {
        if self.there {
            return;
        }
        let Ok(disk) = statvfs(&self.path.with_file_name("")) else { return };
        let free = disk.blocks_available().saturating_mul(disk.fragment_size());
        if free >= self.reserve.saturating_add(self.size) {
            self.there = self.take().is_ok();
            if !self.there {
                let _ = fs::remove_file(&self.path);
            }
        }
    }

    fn take(&self) -> std::io::Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&self.path)?;
        // A length alone would make a sparse file, which reserves nothing.
        posix_fallocate(&file, 0, self.size.try_into().unwrap_or(i64::MAX))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
