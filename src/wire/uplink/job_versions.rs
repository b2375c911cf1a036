//! Job versions: which jobs a server has sent over a connection, and which a worker keeps, so that a script is sent once.
//!
//! Both sides use the same bounded list and drop the same entries from it, so a worker seldom lacks what it is thought to
//! have; where it does, it reads the job as ever.

use std::collections::VecDeque;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

#[cfg(test)]
mod tests;

/// Most jobs that are remembered.
const JOBS: usize = 256;
/// Most bytes of jobs that are remembered; a longer job is sent with each of its runs.
const BYTES: usize = 4 * 1024 * 1024;

/// Version of a job, as far as the execution of a run needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobVersion {
    /// Id of the job.
    pub job: i64,
    /// Digest of the job, as it is sent.
    pub version: String,
}

impl JobVersion {
    /// Returns the version of a job that is sent as these bytes.
    #[must_use]
    pub fn of(job: i64, sent: &[u8]) -> Self {
        // SHA-1 suffices: it detects a change, and whoever changes scripts has no need to forge one.
        let mut version = String::with_capacity(40);
        for byte in Sha1::digest(sent) {
            let _ = write!(version, "{byte:02x}");
        }
        Self { job, version }
    }
}

/// Entry of the list: a version, the bytes of its job, and what is kept of the job.
#[derive(Debug)]
struct Remembered<T> {
    version: JobVersion,
    bytes: usize,
    kept: T,
}

/// Jobs that were sent, in their order; the oldest are dropped where there are too many.
#[derive(Debug)]
pub struct JobVersions<T> {
    entries: VecDeque<Remembered<T>>,
    bytes: usize,
}

impl<T> Default for JobVersions<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), bytes: 0 }
    }
}

impl<T> JobVersions<T> {
    /// Remembers a job of this many bytes, in place of an earlier version of it.
    pub fn remember(&mut self, version: JobVersion, bytes: usize, kept: T) {
        if let Some(at) = self.entries.iter().position(|entry| entry.version.job == version.job)
            && let Some(earlier) = self.entries.remove(at)
        {
            self.bytes -= earlier.bytes;
        }
        self.bytes += bytes;
        self.entries.push_back(Remembered { version, bytes, kept });
        while self.entries.len() > JOBS || self.bytes > BYTES {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.bytes;
        }
    }

    /// Returns what is kept of a job in this version; `None` where the job is not remembered, or another version of it.
    #[must_use]
    pub fn find(&self, version: &JobVersion) -> Option<&T> {
        self.entries.iter().find(|entry| entry.version == *version).map(|entry| &entry.kept)
    }
}
