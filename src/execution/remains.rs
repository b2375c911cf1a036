//! What is left of an execution when nobody can be asked: the record, its lock, and living processes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::shim::killed::Killed;
use super::shim::{self, cgroup, tree};
use crate::report::{Start, StoredEnd};
use crate::run::{Left, Outcome};
use crate::wire::disk::{self, Record};

/// How long those who were killed are waited for, before they are killed again: at first, and doubled up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LAST_WAIT: Duration = Duration::from_secs(5);
/// How many bytes of a record are read where it only may name leftovers.
const LONGEST: u64 = 64 * 1024;
/// How long a shim that has let go of its record is waited for.
const PARTING: Duration = Duration::from_secs(2);

/// What is left of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutionRemains {
    /// It was never started, and now it never will be.
    Nothing,
    /// Its shim lives.
    Living(Box<Record>),
    /// It is over, and the record says when it began and how it ended.
    Ended(Box<Record>, StoredEnd),
    /// Its shim died before it could write the end.
    Orphaned(Box<Record>),
}

/// The start of the script, if there was one.
#[must_use]
pub fn start(record: &Record) -> Option<Start> {
    record.spawned.as_ref().map(|spawned| Start { pid: spawned.pid, at: spawned.at.clone() })
}

/// Looks. `None` where a shim is at this moment about to say what it does.
///
/// The script may be in any of several places. Where there is no record, the licence is taken away by taking it: whoever
/// makes the record may execute, and nobody else. A shim that comes later finds the record, or the script gone.
///
/// # Errors
/// What the system says. That something cannot be seen is never taken for its not being there.
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

/// Opens a record; who waits at a pipe in its place would wait for ever.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

/// Whether a record can be read, or is not there.
///
/// # Errors
/// What the system says.
pub(super) fn readable(path: &Path) -> io::Result<()> {
    match open(path).and_then(|mut file| io::copy(&mut file, &mut io::sink())) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn look(path: &Path, scripts: &[PathBuf]) -> io::Result<Option<ExecutionRemains>> {
    let file = match open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Some(lock),
        Err((_, Errno::EWOULDBLOCK)) => None,
        Err((_, e)) => return Err(e.into()),
    };
    // Read with the lock in hand: a shim that has just ended has written all it will write.
    let record = disk::record(&fs::read(path)?);
    Ok(match (lock, record) {
        (None, None) => None,
        (None, Some(record)) => Some(ExecutionRemains::Living(Box::new(record))),
        // Made, and nothing was said: nothing was started.
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

/// The record of a script that ended and left somebody running.
pub(super) fn with_leftovers(record: &Path) -> Option<Record> {
    let mut text = Vec::new();
    open(record).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
    let record = disk::record(&text)?;
    let outcome = record.ended.as_ref().map(|ended| &ended.outcome);
    matches!(outcome, Some(Outcome::Ran { left: Left::Kept, .. })).then_some(record)
}

/// Whether nobody of an execution lives that has ended: neither what it left running nor the shim that stays for that.
pub(super) fn is_deserted(record: &Record) -> bool {
    let socket = Path::new(&record.socket);
    record.boot_id != tree::boot_id()
        || ((!socket.exists() || shim::socket::is_dead(socket))
            && !record.cgroup.as_deref().is_some_and(|group| cgroup::populated(Path::new(group)))
            && !tree::is_carried(&record.token))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // A place that scripts were once written to may be none any more. What cannot be seen may be there.
        Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Err(e),
        _ => Ok(()),
    }
}

/// Who left what is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftBy {
    /// A shim that died before the end.
    DeadShim,
    /// A script that ended, whose shim stays for what it left and takes no other run.
    Script,
}

/// Ends what is left alive: by its cgroup, by the recorded process, by the token; and answers when nobody is left.
/// Nobody is ended who carries the token of another run.
pub(super) fn clean_up(record: &Record, by: LeftBy) {
    let _ = fs::remove_file(&record.script);
    let socket = Path::new(&record.socket);
    let shim_is_gone = by == LeftBy::DeadShim && is_gone(record, socket);
    if shim_is_gone {
        let _ = fs::remove_file(socket);
    }
    if record.boot_id != tree::boot_id() {
        return;
    }
    let group = record.cgroup.as_deref().map(Path::new);
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
                "run {}: processes {left:?} of a lost attempt cannot be killed; uninterruptible, most likely",
                record.run
            );
        }
        patience = (patience * 2).min(LAST_WAIT);
    }
    if let Some(group) = group {
        cgroup::remove(group);
    }
}

/// Whether nobody listens at the socket of a shim. One that has let go of its record may be about to go, or be at work for
/// another run, whose socket and group it then is.
fn is_gone(record: &Record, socket: &Path) -> bool {
    if socket.exists() && !shim::socket::is_dead(socket) {
        if let Ok(process) = shim::process(record.shim) {
            let _ = shim::is_gone_within(&process, PARTING);
        }
        return shim::socket::is_dead(socket);
    }
    true
}

/// Whether a group is that of the run's own shim: its name says so, or, where an earlier build named it by a pid that may be
/// another's by now, nobody in it does not.
fn is_ours(group: &Path, record: &Record, by: LeftBy) -> bool {
    cgroup::is_named_for_good(group)
        || !((by == LeftBy::DeadShim && shim::is_alive(record.shim))
            || cgroup::members(group).into_iter().any(|pid| tree::is_of_another(pid, &record.token)))
}

fn kill_all(record: &Record, group: Option<&Path>) -> Killed {
    let mut killed = Killed::default();
    if let Some(group) = group {
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
