//! What a worker remembers of itself from one start to the next: a file beside the outbox, which survives the loss of that.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::rest::replace_file;
use crate::run::lifecycle::Remembered;
use crate::wire::disk;

#[cfg(test)]
mod tests;

/// The file.
const FILE: &str = "conduct";

/// The file, and where it is.
#[derive(Clone, Debug)]
pub struct WorkerMemory {
    directory: PathBuf,
}

impl WorkerMemory {
    /// That of a state directory.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// What is remembered. A file that nobody understands means sleep: nothing is begun by mistake.
    #[must_use]
    pub fn read(&self) -> Remembered {
        let path = self.directory.join(FILE);
        let why = match fs::read(&path) {
            Ok(text) => match disk::conduct(&text) {
                Some(remembered) => return remembered,
                None => "it says nothing that is known".to_owned(),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Remembered::default(),
            Err(e) => e.to_string(),
        };
        tracing::error!(
            target: "job_runner_worker.runner",
            "{}: {why}; the worker sleeps until it is told to wake up",
            path.display()
        );
        Remembered { asleep: true, done: None }
    }

    /// Writes what is to be remembered: all of it, or what was there stays.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, remembered: Remembered) -> io::Result<()> {
        replace_file(&self.directory, FILE, &disk::conduct_text(remembered))
    }
}
