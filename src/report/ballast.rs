//! Ballast: a file of no use that is thrown overboard when the disk is full.
//!
//! A full disk does not even let rows be deleted, so that an outbox could not drain. The room of this file is
//! enough for that; when there is plenty again, it is taken again.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::statvfs;

/// The most that is taken, in bytes: what the store's write-ahead log grows to before it is carried over.
const LARGEST: u64 = 4 * 1024 * 1024;
/// The least, in bytes.
const SMALLEST: u64 = 64 * 1024;
/// What part of the room that has to be free is taken.
const SHARE: u64 = 16;

/// The file, there or not.
#[derive(Debug)]
pub struct Ballast {
    path: PathBuf,
    /// Its size in bytes.
    size: u64,
    /// Below how many free bytes it is not taken again.
    reserve: u64,
    there: bool,
}

impl Ballast {
    /// Ballast in a directory on whose disk `reserve` bytes should be free. It is taken, if there is room.
    #[must_use]
    pub fn new(directory: &Path, reserve: u64) -> Self {
        let path = directory.join("ballast");
        let size = (reserve / SHARE).clamp(SMALLEST, LARGEST);
        let there = fs::symlink_metadata(&path).is_ok_and(|file| file.len() == size);
        let mut ballast = Self { path, size, reserve, there };
        ballast.restore();
        ballast
    }

    /// Gives its room to whoever is first.
    pub fn release(&mut self) {
        let _ = fs::remove_file(&self.path);
        self.there = false;
    }

    /// Takes the room again, where there is more than enough.
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
        // Room that is really taken, which a length alone is not.
        posix_fallocate(&file, 0, self.size.try_into().unwrap_or(i64::MAX))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
