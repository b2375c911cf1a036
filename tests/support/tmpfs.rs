//! A small disk of its own.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::statvfs::statvfs;

/// A directory with a file system in memory, unmounted when it is dropped. Declared after the worker that uses it, so
/// that it goes first.
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts over a directory that is there; says why not where this is not allowed.
    pub fn mount(path: &Path, options: &str) -> Result<Self, String> {
        let options = format!("mode=0700,{options}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).output();
        match mount {
            Ok(output) if output.status.success() => Ok(Self { path: path.to_owned() }),
            Ok(output) => Err(format!("no tmpfs: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(e) => Err(format!("mount: {e}")),
        }
    }

    /// Changes its size, for example.
    pub fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.path).status().expect("mount");
        assert!(status.success(), "{options}");
    }

    /// How many bytes are free.
    pub fn free(&self) -> u64 {
        let disk = statvfs(&self.path).expect("a file system");
        disk.blocks_available() * disk.fragment_size()
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }

    /// Writes until nothing more fits.
    pub fn fill(&self) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.filler()).expect("a file");
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![0x5a; size]).is_ok() {}
        }
    }

    /// Removes what was filled in.
    pub fn clear(&self) {
        fs::remove_file(self.filler()).expect("a filler");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a worker of a test that failed may use it still.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}
