//! Cgroup (version 2) for the processes of a shim's jobs, where one can be created.
//!
//! No process leaves a cgroup by forking, starting a session or clearing its environment, and the kernel kills all of
//! its members at once. A cgroup needs a mounted, writable hierarchy, which is never required: without one the shim
//! adopts orphans as their subreaper and sweeps `/proc`.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// Prefix of the cgroups' names; the name of the shim follows.
const PREFIX: &str = "job-runner.";
/// Most nested or sibling cgroups of a job that are visited, so that a job cannot make the cleanup endless.
const GROUPS: usize = 10_000;

/// Directory of a shim's cgroup. Removed on drop if it has no members.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    /// Open directory, locked for as long as the shim lives: the lock tells others that the cgroup is in use.
    dir: Flock<File>,
}

impl Cgroup {
    /// Creates the cgroup of a shim below the cgroup of this process.
    ///
    /// # Errors
    /// If there is no writable hierarchy of version 2, or its kernel has no `cgroup.kill`.
    pub fn create(shim: &str) -> io::Result<Self> {
        let path = ours()?.join(format!("{PREFIX}{shim}"));
        fs::create_dir(&path)?;
        let locked = |dir| Flock::lock(dir, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| io::Error::from(e));
        let made = File::open(&path).and_then(locked).map(|dir| Self { path: path.clone(), dir });
        match made {
            // `cgroup.kill` came with Linux 5.14. Without it a cgroup has no advantage over the sweep.
            Ok(group) if fs::OpenOptions::new().write(true).open(group.path.join("cgroup.kill")).is_ok() => Ok(group),
            Ok(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
            Err(e) => {
                let _ = fs::remove_dir(&path);
                Err(e)
            }
        }
    }

    /// Returns the directory of the cgroup.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Kills all members at once.
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

/// Removes a cgroup and those that a job created below it, as far as they have no members.
pub fn remove(path: &Path) {
    // The usual case: the job has created no cgroups of its own.
    if fs::remove_dir(path).is_ok() {
        return;
    }
    // Nested cgroups come last in the list and must be removed first.
    for group in tree(path).iter().rev() {
        let _ = fs::remove_dir(group);
    }
}

/// Lists a cgroup and all below it, parents before children, bounded by [`GROUPS`].
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

/// Kills all members of a cgroup and of those below it.
pub fn kill(path: &Path) {
    let _ = fs::write(path.join("cgroup.kill"), "1");
}

/// Returns the pids of all members of a cgroup and of those below it.
#[must_use]
pub fn members(path: &Path) -> Vec<i32> {
    let listed = |group: &PathBuf| fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let pids = |listed: String| listed.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>();
    tree(path).iter().map(listed).flat_map(pids).collect()
}

/// Returns whether a cgroup's name belongs to one shim for ever. Earlier builds used the pid alone, which is reused.
#[must_use]
pub fn is_named_for_good(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()?.strip_prefix(PREFIX)).is_some_and(|shim| shim.contains('-'))
}

/// Returns whether a cgroup has a living member.
#[must_use]
pub fn populated(path: &Path) -> bool {
    fs::read_to_string(path.join("cgroup.events")).is_ok_and(|events| events.lines().any(|line| line == "populated 1"))
}

/// Returns the directory of this process's own cgroup.
fn ours() -> io::Result<PathBuf> {
    own_group(&fs::read_to_string("/proc/self/mountinfo")?, &fs::read_to_string("/proc/self/cgroup")?)
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

/// Removes the cgroups of dead shims that have no members; the kernel refuses to remove any other.
///
/// A living shim holds the lock of its cgroup. A shim of an earlier build holds none and is recognised by its pid
/// through `is_shim`.
pub fn remove_deserted(is_shim: impl Fn(i32) -> bool) {
    let Ok(entries) = ours().and_then(fs::read_dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(shim) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        // A name that is a number alone comes from an earlier build.
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

/// Determines the directory of this process's cgroup from the text of `/proc/self/mountinfo` and `/proc/self/cgroup`.
///
/// The hierarchy may be mounted anywhere, beside hierarchies of version 1, and a container may see only a part of it.
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
