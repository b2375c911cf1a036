//! Who goes first when the system has no memory left: the job that takes it, not the shim that must tell its end.

use std::fs;

use nix::unistd::Pid;

/// By how much more a job is chosen than we are, in thousandths of all memory.
const MORE: i32 = 300;
/// The most there is.
const MOST: i32 = 1000;

/// Puts a job in front of us. Its processes inherit that. Anybody may do this to a process of its own; where it does not
/// work, the system chooses by size alone.
pub fn goes_first(job: Pid) {
    let ours = fs::read_to_string("/proc/self/oom_score_adj").ok().and_then(|text| text.trim().parse().ok());
    let _ = fs::write(format!("/proc/{job}/oom_score_adj"), before(ours.unwrap_or(0)).to_string());
}

fn before(ours: i32) -> i32 {
    ours.saturating_add(MORE).min(MOST)
}

#[cfg(test)]
mod tests;
