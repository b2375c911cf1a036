//! Small files of the state directory that are written anew as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes all of it, for this user alone, or what was there stays; on the disk when this returns.
///
/// # Errors
/// What the system says.
pub fn replace_file(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let next = directory.join(format!("{name}.next"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&next)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&next, directory.join(name))?;
    File::open(directory)?.sync_all()
}
