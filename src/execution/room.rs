//! The means for one more run: room on the disks, and descriptors.
//!
//! What cannot be found out is taken for plenty: a run that meets a shortage all the same waits for its end.

use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;

/// What is left of the means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Means {
    /// Of the disks: the state directory's, and that of the scripts.
    pub rooms: Vec<DiskRoom>,
    /// How many descriptors this process may still open.
    pub descriptors: u64,
}

/// Room on the disk of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskRoom {
    /// Which key names the directory.
    pub key: &'static str,
    /// Free bytes.
    pub bytes: u64,
    /// How many files can be made.
    pub files: u64,
}

/// Looks at the disks.
pub(super) fn rooms(state: &Path, scripts: &Path) -> Vec<DiskRoom> {
    vec![room("state_path", state), room("script_temp_path", scripts)]
}

fn room(key: &'static str, directory: &Path) -> DiskRoom {
    let Ok(disk) = statvfs(directory) else { return DiskRoom { key, bytes: u64::MAX, files: u64::MAX } };
    DiskRoom {
        key,
        bytes: disk.blocks_available().saturating_mul(disk.fragment_size()),
        // Some file systems make room for files as they need it, and count none.
        files: if disk.files() == 0 { u64::MAX } else { disk.files_available() },
    }
}

/// How many descriptors this process may have.
#[must_use]
pub fn descriptors_allowed() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

/// Counts how many descriptors this process has: all there can be where it has too many to count them.
#[must_use]
pub fn descriptors_open() -> u64 {
    match std::fs::read_dir("/proc/self/fd") {
        // One of them is the directory that is read.
        Ok(open) => (open.count() as u64).saturating_sub(1),
        Err(e) if e.raw_os_error().is_some_and(|errno| crate::run::shortage::of_errno(errno).is_some()) => u64::MAX,
        Err(_) => 0,
    }
}
