//! Out-of-memory priority: makes the kernel choose the job that uses the memory before the shim that must report its
//! end.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

/// Amount by which a job's `oom_score_adj` exceeds the shim's, in thousandths of all memory.
const MORE: i32 = 300;
/// Highest value that the kernel accepts.
const MOST: i32 = 1000;

/// File with the score of this process.
const OURS: &str = "/proc/self/oom_score_adj";

/// Writable score of this process, and the value it has between starts.
#[derive(Debug)]
pub struct Score {
    file: Option<File>,
    ours: i32,
}

impl Score {
    /// Opens the score of this process. Any process may raise its own score and lower it again to the former value;
    /// where that does not work, the kernel chooses by size alone.
    pub fn open() -> Self {
        let ours = fs::read_to_string(OURS).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Self { file: OpenOptions::new().write(true).open(OURS).ok(), ours }
    }

    /// Runs `what` under the score of jobs. A process that is created meanwhile has that score from its first moment,
    /// and so have its descendants.
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
