//! A cgroup of the second kind for the processes of a shim's jobs, where one can be had.
//!
//! Nobody leaves a cgroup by forking, changing session or clearing an environment, and the kernel
//! kills all of it at once. It needs a hierarchy that is mounted and may be written, which is never
//! required: without it the shim adopts orphans and sweeps.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// How the groups of shims begin; the pid of the shim follows.
const PREFIX: &str = "job-runner.";

/// A directory of the hierarchy. It is removed on drop, if nobody is in it.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    dir: File,
}

impl Cgroup {
    /// Makes the group of a shim below our own.
    ///
    /// # Errors
    /// Why none can be had.
    pub fn create(shim: u32) -> io::Result<Self> {
        let path = ours()?.join(format!("{PREFIX}{shim}"));
        // A dead shim had the same pid; what it left, if nobody is in it.
        let _ = fs::remove_dir(&path);
        fs::create_dir(&path)?;
        let made = File::open(&path).map(|dir| Self { path: path.clone(), dir });
        match made {
            Ok(group) if fs::OpenOptions::new().write(true).open(group.path.join("cgroup.kill")).is_ok() => Ok(group),
            Ok(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
            Err(e) => {
                let _ = fs::remove_dir(&path);
                Err(e)
            }
        }
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Kills everybody in it.
    pub fn kill(&self) {
        kill(&self.path);
    }
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// Kills everybody in the group of a directory.
pub fn kill(path: &Path) {
    let _ = fs::write(path.join("cgroup.kill"), "1");
}

/// Who is in the group of a directory.
#[must_use]
pub fn members(path: &Path) -> Vec<i32> {
    let listed = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    listed.lines().filter_map(|pid| pid.parse().ok()).collect()
}

/// Whether somebody is in the group of a directory.
#[must_use]
pub fn populated(path: &Path) -> bool {
    fs::read_to_string(path.join("cgroup.events")).is_ok_and(|events| events.lines().any(|line| line == "populated 1"))
}

/// The group of this process.
fn ours() -> io::Result<PathBuf> {
    own_group(&fs::read_to_string("/proc/self/mountinfo")?, &fs::read_to_string("/proc/self/cgroup")?)
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

/// Removes the groups of shims that died and left nobody in them. A group in which somebody is, the kernel keeps.
pub fn remove_deserted(is_shim: impl Fn(i32) -> bool) {
    let Ok(entries) = ours().and_then(fs::read_dir) else { return };
    for entry in entries.flatten() {
        let of = entry.file_name().to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
        if of.is_some_and(|shim| !is_shim(shim)) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Where the group of this process is, from `/proc/self/mountinfo` and `/proc/self/cgroup`.
///
/// The hierarchy may be mounted anywhere, beside others of the first kind, and from within a
/// container only a part of it.
#[must_use]
pub fn own_group(mountinfo: &str, cgroup: &str) -> Option<PathBuf> {
    let group = Path::new(cgroup.lines().find_map(|line| line.strip_prefix("0::"))?);
    mountinfo.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        if kind.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        let (root, at) = (Path::new(fields.next()?), Path::new(fields.next()?));
        Some(match group.strip_prefix(root) {
            Ok(below) if below.as_os_str().is_empty() => at.to_owned(),
            Ok(below) => at.join(below),
            Err(_) => at.to_owned(),
        })
    })
}

#[cfg(test)]
mod tests;
