//! A disk that can be filled, and a file on it that can be damaged.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use fastrand::Rng;

/// What fills it.
const FILLING: &str = "filling";
/// A file that only such a disk has.
const MARK: &str = ".small-disk";

/// A small file system of its own in memory, until it is dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of so many megabytes on an empty directory; `None` where we may not.
    pub fn mount(at: &Path, megabytes: usize) -> Option<Self> {
        let options = format!("size={megabytes}m,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        if !mounted.is_ok_and(|mounted| mounted.status.success()) {
            println!("no disk is filled: nothing can be mounted here");
            return None;
        }
        File::create(at.join(MARK)).ok()?;
        Some(Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// Whether a directory is on one.
pub fn is_one(directory: &Path) -> bool {
    directory.join(MARK).exists()
}

/// Takes all the room there is.
pub fn fill(directory: &Path) {
    let Ok(mut filling) = File::create(directory.join(FILLING)) else { return };
    for size in [1 << 20, 1 << 12, 1] {
        let piece = vec![b'x'; size];
        while filling.write_all(&piece).is_ok() {}
    }
}

/// Gives the room back.
pub fn empty(directory: &Path) {
    let _ = fs::remove_file(directory.join(FILLING));
}

/// Damages a SQLite file, so that it can be noticed: what is only cut off at the end of its log would be taken for
/// changes that were never made.
pub fn damage(path: &Path, rng: &mut Rng) {
    let log = PathBuf::from(format!("{}-wal", path.display()));
    let length = fs::metadata(path).map_or(0, |file| file.len());
    match rng.u32(..3) {
        // Nothing of it makes sense.
        0 => {
            let noise: Vec<u8> = (0..length.clamp(512, 1 << 16)).map(|_| rng.u8(..)).collect();
            let _ = fs::write(path, &noise);
            let _ = fs::write(log, &noise);
        }
        // It ends in the middle of a page.
        1 => {
            let _ = fs::remove_file(log);
            let cut = OpenOptions::new().write(true).open(path).and_then(|file| file.set_len((length / 2).max(100)));
            let _ = cut;
        }
        // Its header is gone.
        _ => {
            let _ = fs::remove_file(log);
            if let Ok(mut file) = OpenOptions::new().write(true).open(path) {
                let _ = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&[0; 100]));
            }
        }
    }
}
