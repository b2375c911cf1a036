//! Resources for one more run: free space on the disks and free descriptors.
//!
//! A resource that cannot be measured counts as plentiful: a run that then meets a shortage waits for it to end.

use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;

/// Resources that are free at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeResources {
    /// Free space on the disks of the state directory and of the scripts.
    pub rooms: Vec<DiskRoom>,
    /// Descriptors that this process may still open.
    pub descriptors: u64,
}

/// Free space on the disk that holds a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskRoom {
    /// Configuration key that names the directory, for messages.
    pub key: &'static str,
    /// Free space in bytes, without what is reserved for root.
    pub bytes: u64,
    /// Number of files that can still be created (free inodes).
    pub files: u64,
}

/// Measures the disks of both directories.
pub(super) fn rooms(state: &Path, scripts: &Path) -> Vec<DiskRoom> {
    vec![room("state_path", state), room("script_temp_path", scripts)]
}

fn room(key: &'static str, directory: &Path) -> DiskRoom {
    let Ok(disk) = statvfs(directory) else { return DiskRoom { key, bytes: u64::MAX, files: u64::MAX } };
    DiskRoom {
        key,
        bytes: disk.blocks_available().saturating_mul(disk.fragment_size()),
        // Some file systems allocate inodes as they need them, and report none.
        files: if disk.files() == 0 { u64::MAX } else { disk.files_available() },
    }
}

/// Returns the soft limit of descriptors of this process.
#[must_use]
pub fn descriptors_allowed() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

/// Counts the open descriptors of this process; `u64::MAX` if there are too few left to count them.
#[must_use]
pub fn descriptors_open() -> u64 {
    match std::fs::read_dir("/proc/self/fd") {
        // One of them is the descriptor of the directory that is read.
        Ok(open) => (open.count() as u64).saturating_sub(1),
        Err(e) if e.raw_os_error().is_some_and(|errno| crate::run::errno::shortage_of(errno).is_some()) => u64::MAX,
        Err(_) => 0,
    }
}
