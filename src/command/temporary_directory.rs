//! Temporary directory for the data of a server that lives for one command.

use std::io;
use std::path::{Path, PathBuf};

/// Temporary directory, removed on drop with all its content.
#[derive(Debug)]
pub struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    /// Creates an empty directory where temporary files are kept, accessible to this user alone.
    pub fn new() -> io::Result<Self> {
        // `mkdtemp` creates the directory with mode 0700, under a name that cannot be predicted.
        let template = std::env::temp_dir().join("job-runner-XXXXXX");
        Ok(Self(nix::unistd::mkdtemp(&template)?))
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
