//! Ending everything that a worker started, whoever its parent is by now.
//!
//! What belongs to a worker is known by the path of its temporary folder: it stands on the command
//! line of the worker, of its supervising processes and of the interpreters, and in the environment.
//! Descendants of such processes belong to it too.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long the kernel may take to end what was killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Processes that carry this path, and their descendants; not the calling process.
pub fn marked_processes(mark: &Path) -> Vec<i32> {
    let mark = mark.as_os_str().as_bytes();
    let own = i32::try_from(std::process::id()).expect("a pid fits");
    let all: Vec<(i32, i32)> = pids().filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
    let mut found: BTreeSet<i32> =
        all.iter().map(|(pid, _)| *pid).filter(|pid| *pid != own && carries(*pid, mark)).collect();
    loop {
        let before = found.len();
        found.extend(
            all.iter()
                .filter(|(pid, parent)| *pid != own && found.contains(parent))
                .map(|(p, _)| *p)
                .collect::<Vec<_>>(),
        );
        if found.len() == before {
            return found.into_iter().collect();
        }
    }
}

/// Kills them until none is left. They are stopped first, so that nobody loses its parent, by which it
/// would be known, before it was seen.
pub fn end_everything_marked(mark: &Path) {
    let until = Instant::now() + PATIENCE;
    let mut stopped = BTreeSet::new();
    loop {
        let found = marked_processes(mark);
        let mut new = found.iter().filter(|pid| stopped.insert(**pid)).peekable();
        if new.peek().is_none() {
            break;
        }
        new.for_each(|pid| signal(*pid, Signal::SIGSTOP));
    }
    loop {
        let found = marked_processes(mark);
        if found.is_empty() {
            return;
        }
        found.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
        if Instant::now() > until {
            eprintln!("processes {found:?} of {} do not end", mark.display());
            return;
        }
        // There is nothing to wait on: they are nobody's children, or somebody else's.
        thread::park_timeout(Duration::from_millis(2));
    }
}

fn signal(pid: i32, signal: Signal) {
    // It may have ended meanwhile.
    let _ = kill(Pid::from_raw(pid), signal);
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").expect("a /proc");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// `None` for what has ended, zombies included.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z" && state != "X").then_some(parent)
}

fn carries(pid: i32, mark: &[u8]) -> bool {
    ["cmdline", "environ"].iter().any(|file| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        bytes.windows(mark.len()).any(|window| window == mark)
    })
}
