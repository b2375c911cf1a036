//! Who goes first when the system has no memory left: the job that takes it, not the shim that must tell its end.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

/// By how much more a job is chosen than we are, in thousandths of all memory.
const MORE: i32 = 300;
/// The most there is.
const MOST: i32 = 1000;

/// Where our own score stands.
const OURS: &str = "/proc/self/oom_score_adj";

/// How soon we go, and how soon jobs go.
#[derive(Debug)]
pub struct Score {
    file: Option<File>,
    ours: i32,
}

impl Score {
    /// Jobs before us. Anybody may raise what is its own and lower it again to where it was; where that does not work, the
    /// system chooses by size alone.
    pub fn open() -> Self {
        let ours = fs::read_to_string(OURS).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Self { file: OpenOptions::new().write(true).open(OURS).ok(), ours }
    }

    /// Does something under the score of jobs: a process that is born meanwhile has it from its first moment, and so has
    /// whoever it starts.
    pub fn as_job<T>(&self, what: impl FnOnce() -> T) -> T {
        let raised = self.set(before(self.ours)).is_ok();
        let done = what();
        if raised {
            let _ = self.set(self.ours);
        }
        done
    }

    fn set(&self, score: i32) -> io::Result<()> {
        let file = self.file.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        file.write_all_at(score.to_string().as_bytes(), 0)
    }
}

fn before(ours: i32) -> i32 {
    ours.saturating_add(MORE).min(MOST)
}

#[cfg(test)]
mod tests;
