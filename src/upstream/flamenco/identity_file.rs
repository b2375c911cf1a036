//! FarmIdentity file: the configuration file in which a worker keeps the id that its Manager gave it, and its secret.
//!
//! The file belongs to its user: all lines but the two that are written stay as they are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::FarmIdentity;
use crate::upstream::state_file::replace_file;

#[cfg(test)]
mod tests;

/// Section that the two keys stand in.
const SECTION: &str = "flamenco-worker";
/// Keys that are written, in this order.
const KEYS: [&str; 2] = ["worker_id", "worker_secret"];

/// Configuration file with the identity of a worker.
#[derive(Clone, Debug)]
pub struct IdentityFile(PathBuf);

impl IdentityFile {
    /// Names the file, which need not exist.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes an identity into the file, which only its user can read from then on. When this returns, it is on disk.
    ///
    /// # Errors
    /// If the file cannot be read or replaced.
    pub fn write(&self, identity: &FarmIdentity) -> io::Result<()> {
        // A link stays a link: what it points to is replaced.
        let path = fs::canonicalize(&self.0).unwrap_or_else(|_| self.0.clone());
        let before = match fs::read_to_string(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let secret = String::from_utf8_lossy(identity.secret.expose());
        let text = with_values(&before, [&identity.id, &secret]);
        let no_name = || io::Error::from(io::ErrorKind::InvalidFilename);
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(no_name)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        replace_file(directory, name, text.as_bytes())
    }
}

/// Sets both keys in a text, in their places where they have some.
fn with_values(text: &str, values: [&str; 2]) -> String {
    let mut written = [false; 2];
    let mut lines: Vec<String> = Vec::new();
    let mut is_ours = false;
    // The file is edited and not written anew: it is the user's, with comments and keys that this program does not know.
    // Line behind which keys that the section does not have are added.
    let mut end_of_section = None;
    let mut is_dropping = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name) {
            is_ours = name == SECTION;
            is_dropping = false;
        } else if is_ours {
            // A value may go on in indented lines, which go with it.
            let is_indented = line.starts_with([' ', '\t']) && !line.trim().is_empty();
            if is_dropping && is_indented {
                continue;
            }
            is_dropping = false;
            if let Some(index) = KEYS.iter().position(|key| !is_indented && sets(line, key)) {
                is_dropping = true;
                if !written[index] {
                    written[index] = true;
                    lines.push(format!("{} = {}", KEYS[index], values[index]));
                    end_of_section = Some(lines.len());
                }
                continue;
            }
        }
        lines.push(line.to_owned());
        if is_ours && !line.trim().is_empty() {
            end_of_section = Some(lines.len());
        }
    }
    let missing = (0..KEYS.len()).filter(|index| !written[*index]);
    let missing: Vec<String> = missing.map(|index| format!("{} = {}", KEYS[index], values[index])).collect();
    match end_of_section {
        Some(at) => drop(lines.splice(at..at, missing)),
        None if missing.is_empty() => {}
        None => lines.extend([format!("[{SECTION}]")].into_iter().chain(missing)),
    }
    lines.join("\n") + "\n"
}

/// Returns whether a line sets a key.
fn sets(line: &str, key: &str) -> bool {
    line.split_once(['=', ':']).is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case(key))
}
