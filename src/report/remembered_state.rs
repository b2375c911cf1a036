//! Remembered state: a file beside the outbox with the facts that a worker keeps about itself from one start to the
//! next. The file survives the loss of the outbox.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::run::worker_lifecycle::Remembered;
use crate::upstream::replace_file;
use crate::wire::disk;

#[cfg(test)]
mod tests;

/// Name of the file in the state directory.
const FILE: &str = "conduct";

/// File with the remembered state of a worker.
#[derive(Clone, Debug)]
pub struct RememberedStateFile {
    directory: PathBuf,
}

impl RememberedStateFile {
    /// Names the file of a state directory; reads nothing.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Reads the facts. A file that cannot be read or understood means sleep, so that no run is started by mistake.
    #[must_use]
    pub fn read(&self) -> Remembered {
        let path = self.directory.join(FILE);
        let why = match fs::read(&path) {
            Ok(text) => match disk::remembered(&text) {
                Some(remembered) => return remembered,
                None => "unknown content".to_owned(),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Remembered::default(),
            Err(e) => e.to_string(),
        };
        tracing::error!(
            target: "job_runner_worker.runner",
            path = %path.display(),
            error = why,
            "state of the worker cannot be read; worker sleeps until it is woken"
        );
        Remembered { asleep: true, done: None }
    }

    /// Writes the facts: all of them, or the old file stays.
    ///
    /// # Errors
    /// If the file cannot be replaced.
    pub fn write(&self, remembered: Remembered) -> io::Result<()> {
        replace_file(&self.directory, FILE, &disk::remembered_text(remembered))
    }
}
