//! The server's clock, which is wrong, and is set while the server runs.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::Utc;

use super::stage::fake_time;

/// How far it may be from the right time, in seconds.
const BEHIND: i64 = -3600;
const AHEAD: i64 = 6 * 3600;

/// A clock that is as far ahead as a file says, where libfaketime is installed; else one that is right.
pub struct Clock {
    file: PathBuf,
    ahead: i64,
    /// The latest time that it has shown, in seconds since the epoch.
    latest: i64,
}

impl Clock {
    /// One that is so many seconds ahead.
    pub fn new(folder: &Path, ahead: i64) -> Self {
        let ahead = if fake_time().is_some() { ahead } else { 0 };
        let clock = Self { file: file(folder), ahead, latest: i64::MIN };
        clock.write();
        clock
    }

    /// What it shows, in seconds since the epoch.
    pub fn now(&self) -> i64 {
        Utc::now().timestamp() + self.ahead
    }

    /// The latest time that it has shown: it may have been set back since.
    pub fn latest(&self) -> i64 {
        self.latest.max(self.now())
    }

    /// Sets it so many seconds forward, or back. By how many it was.
    pub fn set(&mut self, by: i64) -> i64 {
        self.latest = self.latest();
        let before = self.ahead;
        if fake_time().is_some() {
            self.ahead = (before + by).clamp(BEHIND, AHEAD);
            self.write();
        }
        self.ahead - before
    }

    /// Whoever reads it meanwhile finds the old time or the new one.
    fn write(&self) {
        let next = self.file.with_extension("next");
        fs::write(&next, format!("{:+}\n", self.ahead)).expect("a clock");
        fs::rename(&next, &self.file).expect("a clock");
    }
}

/// Where a server reads how far its clock is ahead.
pub fn file(folder: &Path) -> PathBuf {
    folder.join("clock")
}
