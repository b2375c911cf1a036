//! A directory for a short time.

use std::io;
use std::path::{Path, PathBuf};

/// A directory of our own that goes when this goes.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one where temporary files are.
    pub fn new() -> io::Result<Self> {
        let template = std::env::temp_dir().join("job-runner-XXXXXX");
        Ok(Self(nix::unistd::mkdtemp(&template)?))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
