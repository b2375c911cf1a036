//! Checks of the directories and files that the settings name. Separate from the other checks, which give the same
//! result on every machine: a configuration can be checked where it is written, not only where it is used.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::Settings;
use super::findings::one_line;

/// Checks the places and returns warnings and mistakes, a line each. A mistake is a reason to exit with 73.
#[must_use]
pub fn check_paths(settings: &Settings) -> (Vec<String>, Vec<String>) {
    let mut warnings = Vec::new();
    let mut mistakes = Vec::new();
    let scripts = &settings.execution.script_temp_path;
    match directory_fault(scripts) {
        Some(fault) => mistakes.push(fault_line("script_temp_path", scripts, &fault)),
        None if is_open_to_all(scripts) => {
            let what = "is writable by everybody and not sticky: anybody can replace a script \
                        before it runs; chmod +t it";
            warnings.push(fault_line("script_temp_path", scripts, what));
        }
        None => {}
    }
    if let Some(file) = settings.upstream.ca_file()
        && let Err(error) = access(file, AccessFlags::R_OK)
    {
        mistakes.push(fault_line("ca_file", file, &format!("cannot be read: {}", error.desc())));
    }
    (warnings, mistakes)
}

fn fault_line(key: &str, path: &Path, what: &str) -> String {
    one_line(&format!("{key}: {} {what}", path.display()))
}

/// Returns the fault of a directory, following symbolic links. A `noexec` mount is no fault: the interpreter is
/// executed, not the script.
fn directory_fault(path: &Path) -> Option<String> {
    match fs::metadata(path) {
        Err(error) => Some(format!("cannot be used: {error}; a directory is needed")),
        Ok(metadata) if !metadata.is_dir() => Some("is no directory; a directory is needed".to_owned()),
        Ok(_) => access(path, AccessFlags::W_OK | AccessFlags::X_OK)
            .err()
            .map(|error| format!("cannot be written to: {}; the worker's user must be allowed to", error.desc())),
    }
}

fn is_open_to_all(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| {
        // The sticky bit keeps users from renaming or removing each other's files, as in `/tmp`.
        let mode = metadata.permissions().mode();
        mode & 0o002 != 0 && mode & 0o1000 == 0
    })
}
