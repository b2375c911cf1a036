//! What is left of an execution when nobody can be asked: the record, its lock, and living processes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::shim::killed::Killed;
use super::shim::{cgroup, tree};
use crate::report::{End, Start};
use crate::wire::disk::{self, Record};

/// How long those who were killed are waited for, before they are killed again: at first, and doubled up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LAST_WAIT: Duration = Duration::from_secs(5);

/// What is left of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remains {
    /// It was never started, and now it never will be.
    Nothing,
    /// Its shim lives.
    Living(Box<Record>),
    /// It is over, and the record says when it began and how it ended.
    Ended(Box<Record>, End),
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
/// Where there is no record, the licence is taken away by taking it: whoever makes the record may execute, and
/// nobody else. A shim that comes later finds the record, or the script gone.
///
/// # Errors
/// What the system says. That something cannot be seen is never taken for its not being there.
pub(super) fn of(record: &Path, script: &Path) -> io::Result<Option<Remains>> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(record) {
        Ok(_) => {
            remove(script)?;
            remove(record)?;
            Ok(Some(Remains::Nothing))
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => look(record, script),
        Err(e) => Err(e),
    }
}

fn look(path: &Path, script: &Path) -> io::Result<Option<Remains>> {
    let file = match File::open(path) {
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
        (None, Some(record)) => Some(Remains::Living(Box::new(record))),
        // Made, and nothing was said: nothing was started.
        (Some(_lock), None) => {
            remove(script)?;
            remove(path)?;
            Some(Remains::Nothing)
        }
        (Some(_), Some(mut record)) => Some(match record.ended.take() {
            Some(disk::Ended { outcome, output, at }) => Remains::Ended(Box::new(record), End { outcome, output, at }),
            None => Remains::Orphaned(Box::new(record)),
        }),
    })
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Ends what a dead shim has left alive: by its cgroup, by the recorded process, by the token; and
/// answers when nobody is left.
pub(super) fn clean_up(record: &Record) {
    let _ = fs::remove_file(&record.script);
    let _ = fs::remove_file(&record.socket);
    if record.boot_id != tree::boot_id() {
        return;
    }
    let group = record.cgroup.as_deref().map(Path::new);
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
        let _ = fs::remove_dir(group);
    }
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
