//! Who goes first when the system has no memory left: the job that takes it, not the shim that must tell its end.

use std::fs::{self, OpenOptions};
use std::io::Write;

use nix::unistd::Pid;

/// By how much more a job is chosen than we are, in thousandths of all memory.
const MORE: i32 = 300;
/// The most there is.
const MOST: i32 = 1000;

/// How soon jobs go.
#[derive(Debug)]
pub struct Score(String);

impl Score {
    /// Before us.
    pub fn of_jobs() -> Self {
        let ours = fs::read_to_string("/proc/self/oom_score_adj").ok().and_then(|text| text.trim().parse().ok());
        Self(before(ours.unwrap_or(0)).to_string())
    }

    /// Gives it to a job, whose processes inherit it. Anybody may do this to a process of its own; where it does not work,
    /// the system chooses by size alone.
    pub fn give(&self, job: Pid) {
        let to = OpenOptions::new().write(true).open(format!("/proc/{job}/oom_score_adj"));
        let _ = to.and_then(|mut file| file.write_all(self.0.as_bytes()));
    }
}

fn before(ours: i32) -> i32 {
    ours.saturating_add(MORE).min(MOST)
}

#[cfg(test)]
mod tests;
