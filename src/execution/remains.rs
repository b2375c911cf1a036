//! What is left of an execution when nobody can be asked: the record, its lock, and living processes.

use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use super::shim::{cgroup, tree};
use crate::report::{End, Start};
use crate::wire::disk::{self, Record};

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

/// Looks. Where nothing was started, the licence is taken away: the script is removed first, then a
/// record looked for once more, while a shim makes its record first and then looks for the script.
pub(super) fn of(record: &Path, script: &Path) -> Remains {
    if let Some(found) = look(record) {
        return found;
    }
    let _ = fs::remove_file(script);
    look(record).unwrap_or_else(|| {
        let _ = fs::remove_file(record);
        Remains::Nothing
    })
}

fn look(path: &Path) -> Option<Remains> {
    let file = File::open(path).ok()?;
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    // Read with the lock in hand: a shim that has just ended has written all it will write.
    let record = disk::record(&fs::read(path).ok()?);
    match (lock, record) {
        // Begun, and the first line is on its way.
        (Err(_), None) => {
            wait_for_end(path);
            look(path)
        }
        (Err(_), Some(record)) => Some(Remains::Living(Box::new(record))),
        (Ok(_), None) => None,
        (Ok(_), Some(mut record)) => Some(match record.ended.take() {
            Some(disk::Ended { outcome, output, at }) => Remains::Ended(Box::new(record), End { outcome, output, at }),
            None => Remains::Orphaned(Box::new(record)),
        }),
    }
}

/// Blocks until nobody holds the record's lock.
pub(super) fn wait_for_end(path: &Path) {
    if let Ok(file) = File::open(path) {
        drop(Flock::lock(file, FlockArg::LockExclusive));
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
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(group) = group {
            cgroup::kill(group);
        }
        if let Some(spawned) = &record.spawned {
            let _ = tree::kill_recorded(spawned.pid, spawned.start_time);
        }
        tree::kill_token(&record.token);
        if !group.is_some_and(cgroup::populated) && !tree::token_lives(&record.token) {
            break;
        }
        // Who was killed takes a moment to go, and no event tells of the end of a process that is not ours.
        thread::park_timeout(pause);
        pause = (pause * 2).min(Duration::from_secs(5));
    }
    if let Some(group) = group {
        let _ = fs::remove_dir(group);
    }
}
