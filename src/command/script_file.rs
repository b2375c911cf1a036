//! Reading of scripts and templates that the command line names.

use std::io::Read;
use std::path::Path;

use super::exit::{CommandFailure, NO_INPUT};

/// Longest script in bytes, which is what a server accepts.
const LONGEST: u64 = 2 * 1024 * 1024;
/// Title of a script that is read from stdin.
const STDIN: &str = "stdin";

/// Reads a script, or stdin if the path is `-`.
pub fn read(path: &Path) -> Result<String, CommandFailure> {
    read_at_most(path, LONGEST)
}

/// Reads a text file of at most this many bytes, or stdin if the path is `-`.
pub fn read_at_most(path: &Path, longest: u64) -> Result<String, CommandFailure> {
    let unreadable = |e: std::io::Error| CommandFailure::new(NO_INPUT, format!("{}: {e}", path.display()));
    let wrong = |what: &str| CommandFailure::new(NO_INPUT, format!("{}: {what}", path.display()));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        // One byte more than allowed is enough to tell that the text is too long.
        std::io::stdin().lock().take(longest + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(longest + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if bytes.len() as u64 > longest {
        return Err(wrong(&format!("is longer than {} MB", longest / (1024 * 1024))));
    }
    String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))
}

/// Returns the title of a script: the given name, or that of its file.
pub fn title(name: Option<&str>, path: &Path) -> String {
    match (name, path.file_name()) {
        (Some(name), _) => name.to_owned(),
        (None, Some(file)) if path != Path::new("-") => file.to_string_lossy().into_owned(),
        _ => STDIN.to_owned(),
    }
}
