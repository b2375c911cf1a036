//! Small files of the state directory, each replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces a file, readable for this user only. When this returns, the content is on disk; on failure the old content
/// stays.
///
/// # Errors
/// If the new file cannot be written, synced or renamed.
pub fn replace_file(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    // Written under another name, synced, renamed, and the directory synced: in this order no crash leaves half a file
    // under the final name.
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
