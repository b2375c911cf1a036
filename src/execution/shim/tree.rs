//! Process trees: finds the descendants of a process, and the processes with a token in their environment, and signals
//! them.
//!
//! A pid can come to mean another process. So no process is signalled by pid: a pidfd is opened first, then the start
//! time is checked to be that of the process that was found.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::killed::Killed;
use super::syscall::{pidfd_open, pidfd_send_signal};

/// Most rounds of the search for new descendants while they are being stopped.
const MAX_ROUNDS: usize = 1000;

/// Prefix of the variable that holds the token in the environment of a run's processes.
const MARK: &str = "JOB_RUNNER_RUN_TOKEN=";

/// Process as `/proc/<pid>/stat` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcEntry {
    /// Process id as it is now.
    pub pid: i32,
    /// Process id of its parent.
    pub parent: i32,
    /// Start time in clock ticks since boot.
    pub start_time: u64,
    /// Whether the process has ended and waits to be reaped.
    pub zombie: bool,
}

/// Buffer size in bytes, longer than any line of `/proc/<pid>/stat`.
const STAT: usize = 2048;

/// Reads the entry of a process; `None` if there is no such process.
#[must_use]
pub fn process(pid: i32) -> Option<ProcEntry> {
    let mut line = [0; STAT];
    // One read: the kernel produces the line as of that moment, and later reads could see another.
    let len = File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut line)).ok()?;
    stat(pid, &line[..len])
}

/// Returns whether a process is stopped, by a signal or by its tracer.
#[must_use]
pub fn is_stopped(pid: i32) -> bool {
    let line = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = line.iter().rposition(|b| *b == b')').and_then(|close| line.get(close + 2));
    matches!(state, Some(b'T' | b't'))
}

/// Time since boot in hundredths of a second, the unit in which the kernel reports start times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick(Option<u64>);

impl Tick {
    /// Returns the present tick.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).ok();
        Self(now.and_then(|now| u64::try_from(now.tv_sec() * 100 + now.tv_nsec() / 10_000_000).ok()))
    }
}

/// Returns the start time of a process that was created between two ticks. If the ticks are equal, `/proc` need not be
/// read; 0 if the time cannot be determined.
#[must_use]
pub fn start_time(pid: i32, before: Tick, after: Tick) -> u64 {
    match (before, after) {
        (Tick(Some(before)), Tick(Some(after))) if before == after => before,
        _ => process(pid).map_or(0, |process| process.start_time),
    }
}

/// Parses a line of `/proc/<pid>/stat`. The second field is the name in parentheses and may contain anything, so the
/// rest is read from behind the last parenthesis.
fn stat(pid: i32, bytes: &[u8]) -> Option<ProcEntry> {
    let close = bytes.iter().rposition(|b| *b == b')')?;
    let text = std::str::from_utf8(&bytes[close + 1..]).ok()?;
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    Some(ProcEntry {
        pid,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

/// Lists all processes that can be read.
fn everybody() -> Vec<ProcEntry> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    // Entries whose names are no numbers are not processes.
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(process).collect()
}

/// Returns the living descendants of a process, without the process itself.
#[must_use]
pub fn descendants(root: Pid) -> Vec<ProcEntry> {
    let mut children: HashMap<i32, Vec<ProcEntry>> = HashMap::new();
    for process in everybody() {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut parents = vec![root.as_raw()];
    while let Some(parent) = parents.pop() {
        for process in children.remove(&parent).unwrap_or_default() {
            parents.push(process.pid);
            if !process.zombie {
                found.push(process);
            }
        }
    }
    found
}

/// Sends a signal once to all descendants of a process.
pub fn signal(root: Pid, signal: i32) {
    for process in descendants(root) {
        if let Some(pidfd) = hold(process) {
            let _ = pidfd_send_signal(pidfd.as_fd(), signal);
        }
    }
}

/// Kills all descendants of a process: stops those that are found until a search finds no new one, so that none can
/// fork away, then kills them all. Only a process that is being created in the last round can escape; the caller
/// searches again.
pub fn kill(root: Pid) {
    let _ = kill_found(|| descendants(root));
}

/// Kills every process that carries `JOB_RUNNER_RUN_TOKEN=<token>` in its environment, and the descendants of such
/// processes, and returns them. For trees whose supervisor is dead.
pub fn kill_token(token: &str) -> Killed {
    if token.is_empty() {
        return Killed::default();
    }
    let mark = format!("{MARK}{token}");
    kill_found(|| bearers(mark.as_bytes()))
}

/// Returns whether a living process carries a token.
#[must_use]
pub fn is_carried(token: &str) -> bool {
    !token.is_empty() && !bearers(format!("{MARK}{token}").as_bytes()).is_empty()
}

/// Returns whether a process carries the token of another run.
#[must_use]
pub fn is_of_another(pid: i32, token: &str) -> bool {
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let carried = environ.split(|b| *b == 0).filter_map(|variable| variable.strip_prefix(MARK.as_bytes()));
    carried.into_iter().any(|carried| carried != token.as_bytes())
}

fn bearers(mark: &[u8]) -> Vec<ProcEntry> {
    let mut found: HashSet<ProcEntry> = HashSet::new();
    let me = i32::try_from(std::process::id()).unwrap_or_default();
    for process in everybody().into_iter().filter(|p| !p.zombie && p.pid != me) {
        let Ok(environ) = fs::read(format!("/proc/{}/environ", process.pid)) else { continue };
        if environ.split(|b| *b == 0).any(|variable| variable == mark) {
            found.insert(process);
            found.extend(descendants(Pid::from_raw(process.pid)));
        }
    }
    found.into_iter().collect()
}

fn kill_found(find: impl Fn() -> Vec<ProcEntry>) -> Killed {
    // A worker that was started by a job descends from it, and must not stop itself.
    let me = i32::try_from(std::process::id()).unwrap_or_default();
    let mut stopped: HashMap<(i32, u64), OwnedFd> = HashMap::new();
    for _ in 0..MAX_ROUNDS {
        let mut news = false;
        for process in find().into_iter().filter(|found| found.pid != me) {
            let key = (process.pid, process.start_time);
            // Keyed by start time as well, because a pid may be reused between two rounds.
            if stopped.contains_key(&key) {
                continue;
            }
            if let Some(pidfd) = hold(process)
                && pidfd_send_signal(pidfd.as_fd(), libc::SIGSTOP).is_ok()
            {
                stopped.insert(key, pidfd);
                news = true;
            }
        }
        if !news {
            break;
        }
    }
    let mut killed = Killed::default();
    for ((pid, _), pidfd) in stopped {
        let _ = pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
        killed.add(pid, pidfd);
    }
    killed
}

/// Opens a pidfd of the process that was found; `None` if the pid means another one by now.
// Opened first, compared second: the other way round the pid could be reused in between.
fn hold(found: ProcEntry) -> Option<OwnedFd> {
    let pidfd = pidfd_open(Pid::from_raw(found.pid)).ok()?;
    let now = process(found.pid)?;
    (now.start_time == found.start_time).then_some(pidfd)
}

/// Kills the process that a record names, with its descendants, if the pid still means that process. Returns them.
pub fn kill_recorded(pid: i32, start_time: u64) -> Killed {
    kill_found(|| {
        let Some(found) = process(pid).filter(|p| p.start_time == start_time && !p.zombie) else { return Vec::new() };
        let mut all = descendants(Pid::from_raw(pid));
        all.push(found);
        all
    })
}

/// Returns the kernel's random id of the present boot; empty if it cannot be read.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
