//! File of a script that is over: emptied and kept for a later script, or removed.
//!
//! Creating a file is among the most expensive steps of a short run: see [`crate::execution`]'s spare files. The file of a
//! script is kept only if nobody can miss what it contained; otherwise it is removed, as a script always was.

use std::fs;
use std::io;
use std::path::Path;

use super::exclusive_file::{ExclusiveFile, NotExclusive};

/// Fate of the file of a script that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptFate {
    /// The file is gone.
    Removed,
    /// The file is empty and lies at the place for spare files.
    Kept,
    /// The file is gone, and no other can be kept either.
    NeverKept,
}

/// Removes the script, or keeps its file at `spare`. The script's path is free afterwards.
pub fn put_away(script: &Path, spare: Option<&Path>) -> ScriptFate {
    let Some(spare) = spare else {
        let _ = fs::remove_file(script);
        return ScriptFate::Removed;
    };
    let refused = match keep(script, spare) {
        Ok(()) => return ScriptFate::Kept,
        Err(refused) => refused,
    };
    let _ = fs::remove_file(spare);
    let _ = fs::remove_file(script);
    match refused {
        NotExclusive::ThisFile => ScriptFate::Removed,
        NotExclusive::AnyFile => ScriptFate::NeverKept,
    }
}

/// Renames the file first: who opens the script's path from then on finds nothing, as after its removal, and not an empty
/// script.
fn keep(script: &Path, spare: &Path) -> Result<(), NotExclusive> {
    fs::rename(script, spare).map_err(|e| match e.kind() {
        io::ErrorKind::CrossesDevices => NotExclusive::AnyFile,
        _ => NotExclusive::ThisFile,
    })?;
    crash_point!(ShimScriptMoved);
    ExclusiveFile::open(spare)?.empty().map_err(|_| NotExclusive::ThisFile)
}

#[cfg(test)]
mod tests;
