//! A cgroup of the second kind for the processes of a shim's jobs, where one can be had.
//!
//! Nobody leaves a cgroup by forking, changing session or clearing an environment, and the kernel
//! kills all of it at once. It needs a hierarchy that is mounted and may be written, which is never
//! required: without it the shim adopts orphans and sweeps.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// How the groups of shims begin; the name of the shim follows.
const PREFIX: &str = "job-runner.";
/// How many groups below one another or beside one another a job may leave for us to remove.
const GROUPS: usize = 10_000;

/// A directory of the hierarchy. It is removed on drop, if nobody is in it.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    /// Locked for as long as the shim lives.
    dir: Flock<File>,
}

impl Cgroup {
    /// Makes the group of a shim below our own.
    ///
    /// # Errors
    /// Why none can be had.
    pub fn create(shim: &str) -> io::Result<Self> {
        let path = ours()?.join(format!("{PREFIX}{shim}"));
        fs::create_dir(&path)?;
        let locked = |dir| Flock::lock(dir, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| io::Error::from(e));
        let made = File::open(&path).and_then(locked).map(|dir| Self { path: path.clone(), dir });
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
        remove(&self.path);
    }
}

/// Removes the group of a directory and what a job made below it, where nobody is in it.
pub fn remove(path: &Path) {
    if fs::remove_dir(path).is_ok() {
        return;
    }
    // Those below come last in the list, and go first.
    for group in tree(path).iter().rev() {
        let _ = fs::remove_dir(group);
    }
}

/// The group of a directory and those below it.
fn tree(path: &Path) -> Vec<PathBuf> {
    let mut groups = vec![path.to_owned()];
    let mut looked = 0;
    while looked < groups.len() && groups.len() < GROUPS {
        let entries = fs::read_dir(&groups[looked]).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path());
        groups.extend(below);
        looked += 1;
    }
    groups
}

/// Kills everybody in the group of a directory.
pub fn kill(path: &Path) {
    let _ = fs::write(path.join("cgroup.kill"), "1");
}

/// Who is in the group of a directory, and in those that were made below it.
#[must_use]
pub fn members(path: &Path) -> Vec<i32> {
    let listed = |group: &PathBuf| fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let pids = |listed: String| listed.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>();
    tree(path).iter().map(listed).flat_map(pids).collect()
}

/// Whether a group has the name of one shim and no other ever: those of earlier builds were named by pid alone, which
/// comes to mean another.
#[must_use]
pub fn is_named_for_good(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()?.strip_prefix(PREFIX)).is_some_and(|shim| shim.contains('-'))
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
///
/// A living shim holds the lock of its group. One of an earlier build has none and is known by its pid.
pub fn remove_deserted(is_shim: impl Fn(i32) -> bool) {
    let Ok(entries) = ours().and_then(fs::read_dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(shim) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let deserted = match shim.parse() {
            Ok(pid) => !is_shim(pid),
            Err(_) => {
                File::open(entry.path()).is_ok_and(|group| Flock::lock(group, FlockArg::LockExclusiveNonblock).is_ok())
            }
        };
        if deserted {
            remove(&entry.path());
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
