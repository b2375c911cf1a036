//! Remains of an attempt whose worker is gone: reads the record and its lock, and kills the processes that are left.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::shim::killed::Killed;
use super::shim::{self, cgroup, tree};
use super::shown_pids;
use crate::report::{Start, StoredEnd};
use crate::run::{Left, Outcome};
use crate::wire::disk::{self, Record};

/// Time that killed processes are given before they are killed again: at first, then doubled up to [`LAST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LAST_WAIT: Duration = Duration::from_secs(5);
/// Most bytes of a record that are read when only its leftovers are of interest.
const LONGEST: u64 = 64 * 1024;
/// Time that a shim which has released its record is given to exit.
const PARTING: Duration = Duration::from_secs(2);

/// State of an attempt, as its record and its lock tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutionRemains {
    /// The script was never started, and from now on it cannot be.
    Nothing,
    /// The shim holds the record and supervises the script.
    Living(Box<Record>),
    /// The script has ended; the record tells the start and the end.
    Ended(Box<Record>, StoredEnd),
    /// The shim died before it could write the end.
    Orphaned(Box<Record>),
}

/// Returns the start of the script from its record; `None` if it was not started.
#[must_use]
pub fn start(record: &Record) -> Option<Start> {
    record.spawned.as_ref().map(|spawned| Start { pid: spawned.pid, at: spawned.at.clone() })
}

/// Determines the state of an attempt; `None` while a shim is about to write the first line of the record.
///
/// The creation of the record is the licence to execute, and only one process can create it. Where there is no record,
/// this function takes the licence by creating it, removes the script from each directory it may be in, and then
/// removes the record: a shim that comes later finds either the record or no script.
///
/// # Errors
/// If the record or a script cannot be read or removed. A file that cannot be seen never counts as missing.
pub(super) fn of(record: &Path, scripts: &[PathBuf]) -> io::Result<Option<ExecutionRemains>> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(record) {
        Ok(_) => {
            scripts.iter().try_for_each(|script| remove(script))?;
            remove(record)?;
            Ok(Some(ExecutionRemains::Nothing))
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => look(record, scripts),
        Err(e) => Err(e),
    }
}

/// Opens a record without blocking on a pipe, and without following a link, that was put in its place.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

/// Checks that a record can be read or does not exist.
///
/// # Errors
/// If the record exists and cannot be read.
pub(super) fn readable(path: &Path) -> io::Result<()> {
    match open(path).and_then(|mut file| io::copy(&mut file, &mut io::sink())) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn look(path: &Path, scripts: &[PathBuf]) -> io::Result<Option<ExecutionRemains>> {
    let file = match open(path) {
        // The shim has removed its record between our attempt to create it and this: try again.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Some(lock),
        Err((_, Errno::EWOULDBLOCK)) => None,
        Err((_, e)) => return Err(e.into()),
    };
    // Read only after the lock was tried: a shim that has just ended has written everything by then.
    let record = disk::record(&fs::read(path)?);
    Ok(match (lock, record) {
        (None, None) => None,
        (None, Some(record)) => Some(ExecutionRemains::Living(Box::new(record))),
        // An empty record without a lock: its shim died before it started anything.
        (Some(_lock), None) => {
            scripts.iter().try_for_each(|script| remove(script))?;
            remove(path)?;
            Some(ExecutionRemains::Nothing)
        }
        (Some(_), Some(mut record)) => Some(match record.ended.take() {
            Some(disk::RecordedEnd { outcome, output, at }) => {
                ExecutionRemains::Ended(Box::new(record), StoredEnd { outcome, output, at })
            }
            None => ExecutionRemains::Orphaned(Box::new(record)),
        }),
    })
}

/// Returns the record if its script has ended and left processes running.
pub(super) fn with_leftovers(record: &Path) -> Option<Record> {
    let mut text = Vec::new();
    open(record).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
    let record = disk::record(&text)?;
    let outcome = record.ended.as_ref().map(|ended| &ended.outcome);
    matches!(outcome, Some(Outcome::Ran { left: Left::Kept, .. })).then_some(record)
}

/// Returns whether every process of an ended attempt is gone: those that it left running, and the shim that stays for
/// them.
pub(super) fn is_deserted(record: &Record) -> bool {
    let socket = Path::new(&record.socket);
    record.boot_id != tree::boot_id()
        || ((!socket.exists() || shim::socket::is_dead(socket))
            && !record.cgroup.as_deref().is_some_and(|group| cgroup::populated(Path::new(group)))
            && !tree::is_carried(&record.token))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // A former script directory may since have become a file. Any other error may hide a script that is still
        // there.
        Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Err(e),
        _ => Ok(()),
    }
}

/// Origin of the processes that are to be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftBy {
    /// A shim that died before the end of its run.
    DeadShim,
    /// A script that ended; its shim stays for the leftovers and takes no other run.
    Script,
}

/// Kills what is left alive of an attempt, found by its cgroup, by the recorded process and by the token, and returns
/// when nothing is left. Processes with the token of another run are spared.
pub(super) fn clean_up(record: &Record, by: LeftBy) {
    let _ = fs::remove_file(&record.script);
    let socket = Path::new(&record.socket);
    let shim_is_gone = by == LeftBy::DeadShim && is_gone(record, socket);
    if shim_is_gone {
        let _ = fs::remove_file(socket);
    }
    // After a reboot no process of the attempt lives, and its pids belong to others.
    if record.boot_id != tree::boot_id() {
        return;
    }
    let group = record.cgroup.as_deref().map(Path::new);
    // The cgroup of a living shim may hold the next run by now, unless the shim stays for this script's leftovers.
    let group = group.filter(|group| (shim_is_gone || by == LeftBy::Script) && is_ours(group, record, by));
    let (mut patience, mut told) = (FIRST_WAIT, false);
    loop {
        let mut killed = kill_all(record, group);
        if killed.is_empty() && !group.is_some_and(cgroup::populated) {
            break;
        }
        let left = killed.wait(patience);
        if !left.is_empty() && patience == LAST_WAIT && !std::mem::replace(&mut told, true) {
            tracing::error!(
                target: "job_runner_worker.cleanup",
                run = %record.run,
                execution = record.attempt.0,
                pids = shown_pids(&left),
                "processes cannot be killed; they are most likely in uninterruptible sleep"
            );
        }
        patience = (patience * 2).min(LAST_WAIT);
    }
    if let Some(group) = group {
        cgroup::remove(group);
    }
}

/// Returns whether no shim listens at the socket. A shim that has released its record may be about to exit, which is
/// waited for, or may already work for another run, to which socket and cgroup then belong.
fn is_gone(record: &Record, socket: &Path) -> bool {
    if socket.exists() && !shim::socket::is_dead(socket) {
        if let Ok(process) = shim::process(record.shim) {
            let _ = shim::is_gone_within(&process, PARTING);
        }
        return shim::socket::is_dead(socket);
    }
    true
}

/// Returns whether a cgroup belongs to the shim of this run. Its name usually tells; earlier builds named it by a pid
/// alone, which may be reused, so there no process may carry another run's token.
fn is_ours(group: &Path, record: &Record, by: LeftBy) -> bool {
    cgroup::is_named_for_good(group)
        || !((by == LeftBy::DeadShim && shim::is_alive(record.shim))
            || cgroup::members(group).into_iter().any(|pid| tree::is_of_another(pid, &record.token)))
}

fn kill_all(record: &Record, group: Option<&Path>) -> Killed {
    let mut killed = Killed::default();
    if let Some(group) = group {
        // Collected before the kill: afterwards the cgroup no longer lists them.
        cgroup::members(group).into_iter().for_each(|pid| killed.add_by_number(pid));
        cgroup::kill(group);
    }
    if let Some(spawned) = &record.spawned {
        killed.join(tree::kill_recorded(spawned.pid, spawned.start_time));
    }
    killed.join(tree::kill_token(&record.token));
    killed
}

#[cfg(test)]
mod tests;
