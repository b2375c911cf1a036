//! File commands: move, copy, write and remove, each so that a crash leaves the old or the new state of a file.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::{DateTime, Local};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::file_error::FileError;
use super::path_of;
use super::roots::{Entry, Roots};
use crate::run::steps::Transfer;

#[cfg(test)]
mod tests;

/// Most names that are tried for something that is moved out of the way or gets a number.
const MAX_NAMES: u64 = 10_000;
/// Most directories below one another that are removed; each costs a descriptor.
const MAX_DEPTH: usize = 500;

/// Renames a path to its name and the time of its last change. A missing path is fine.
pub(super) fn move_out_of_way(roots: &Roots<'_>, path: &str) -> Result<(), FileError> {
    match roots.entry(path)? {
        Some(entry) => clear_name(&entry),
        None => Ok(()),
    }
}

fn clear_name(entry: &Entry) -> Result<(), FileError> {
    let metadata = match fs::symlink_metadata(entry.path()) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(|e| entry.failed(e))?,
    };
    let changed: DateTime<Local> = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH).into();
    let mut name = entry.name.clone();
    name.push(format!("-{}", changed.format("%Y-%m-%d_%H%M%S")));
    let names = std::iter::once(name.clone()).chain((1..MAX_NAMES).map(|number| {
        let mut next = name.clone();
        next.push(format!("~{number}"));
        next
    }));
    rename_to_first_free(entry, entry, names)
}

/// Moves a path, and clears the destination's name before. A missing source is fine.
pub(super) fn move_to_final(roots: &Roots<'_>, transfer: &Transfer) -> Result<(), FileError> {
    let Some(source) = roots.entry(&transfer.source)? else { return Ok(()) };
    if !source.exists()? {
        return Ok(());
    }
    let destination = existing_directory(roots, &transfer.destination)?;
    clear_name(&destination)?;
    rename_to_first_free(&source, &destination, std::iter::once(destination.name.clone()))
}

/// Moves a file to the destination's name with the number after the highest that is there, from 001.
pub(super) fn move_with_counter(roots: &Roots<'_>, transfer: &Transfer) -> Result<(), FileError> {
    let source = existing_directory(roots, &transfer.source)?;
    let destination = existing_directory(roots, &transfer.destination)?;
    let (stem, suffix) = (Path::new(&destination.name).file_stem(), Path::new(&destination.name).extension());
    let (stem, suffix) = (stem.unwrap_or_default().to_owned(), suffix.map(OsStr::to_owned));
    let listed = fs::read_dir(path_of(&destination.directory)).map_err(|e| destination.failed(e))?;
    let numbers = listed.flatten().filter_map(|found| number_of(&found.file_name(), &stem, suffix.as_deref()));
    let first = numbers.max().unwrap_or(0).saturating_add(1);
    let names = (first..first.saturating_add(MAX_NAMES)).map(|number| {
        let mut name = stem.clone();
        name.push(format!("{number:03}"));
        if let Some(suffix) = &suffix {
            name.push(".");
            name.push(suffix);
        }
        name
    });
    rename_to_first_free(&source, &destination, names)
}

/// Returns the number in a name that consists of the stem, at least three digits, and the suffix.
fn number_of(name: &OsStr, stem: &OsStr, suffix: Option<&OsStr>) -> Option<u64> {
    let mut end = Vec::new();
    if let Some(suffix) = suffix {
        end.push(b'.');
        end.extend_from_slice(suffix.as_bytes());
    }
    let digits = name.as_bytes().strip_prefix(stem.as_bytes())?.strip_suffix(end.as_slice())?;
    let is_number = digits.len() >= 3 && digits.iter().all(u8::is_ascii_digit);
    if is_number { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

/// Renames an entry to the first name that is free; what has a name already is never replaced.
fn rename_to_first_free(
    source: &Entry,
    destination: &Entry,
    names: impl Iterator<Item = OsString>,
) -> Result<(), FileError> {
    for name in names {
        let from = (&source.directory, source.name.as_os_str());
        match renameat2(from.0, from.1, &destination.directory, name.as_os_str(), RenameFlags::RENAME_NOREPLACE) {
            Err(Errno::EEXIST) => {}
            // A file system that cannot tell: between the look and the rename nobody else is expected.
            Err(Errno::EINVAL) if fs::symlink_metadata(destination.beside(&name)).is_err() => {
                return fs::rename(source.path(), destination.beside(&name)).map_err(|e| source.failed(e));
            }
            Err(Errno::EINVAL) => {}
            renamed => return renamed.map_err(|e| source.failed(e)),
        }
    }
    Err(FileError::NoFreeName(destination.shown.clone()))
}

fn existing_directory(roots: &Roots<'_>, path: &str) -> Result<Entry, FileError> {
    let missing = || FileError::System { path: PathBuf::from(path), source: io::ErrorKind::NotFound.into() };
    roots.entry(path)?.ok_or_else(missing)
}

/// Copies a file with its permissions over the destination, whose directory is made where it is missing.
pub(super) fn copy_file(roots: &Roots<'_>, transfer: &Transfer) -> Result<(), FileError> {
    let failed = |source| FileError::System { path: PathBuf::from(&transfer.source), source };
    let mut source = roots.open(&transfer.source)?;
    let metadata = source.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(FileError::Directory(PathBuf::from(&transfer.source)));
    }
    let destination = roots.entry_in_new_directory(&transfer.destination)?;
    replace(&destination, |file| {
        io::copy(&mut source, file)?;
        file.set_permissions(metadata.permissions())
    })
}

/// Writes a file in place of what has its name.
pub(super) fn write(roots: &Roots<'_>, path: &str, content: &[u8]) -> Result<(), FileError> {
    replace(&existing_directory(roots, path)?, |file| file.write_all(content))
}

/// Writes a file under another name and renames it, so that its name has the old or the new content, and never half.
fn replace(entry: &Entry, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), FileError> {
    let mut name = OsString::from(".");
    name.push(&entry.name);
    let name = OsString::from_vec(name.as_bytes()[..name.len().min(200)].to_vec());
    let mut next = name;
    next.push(format!(".{}", std::process::id()));
    let path = entry.beside(&next);
    let replaced = OpenOptions::new().write(true).create_new(true).custom_flags(libc::O_NOFOLLOW).open(&path).and_then(
        |mut file| {
            write(&mut file)?;
            fs::rename(&path, entry.path())
        },
    );
    replaced.map_err(|e| {
        let _ = fs::remove_file(&path);
        entry.failed(e)
    })
}

/// Removes a file or a link. A missing one is fine.
pub(super) fn remove_file(roots: &Roots<'_>, path: &str) -> Result<(), FileError> {
    let Some(entry) = roots.entry(path)? else { return Ok(()) };
    match unlinkat(&entry.directory, entry.name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(Errno::EISDIR | Errno::EPERM) if is_directory(&entry) => Err(FileError::Directory(entry.shown)),
        Err(e) => Err(entry.failed(e)),
    }
}

fn is_directory(entry: &Entry) -> bool {
    let found = fstatat(&entry.directory, entry.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
    found.is_ok_and(|found| kind(&found) == SFlag::S_IFDIR)
}

fn kind(found: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT
}

/// Removes a path with all below it. Follows no symbolic link, and removes nothing on another file system.
pub(super) fn remove_tree(roots: &Roots<'_>, path: &str) -> Result<(), FileError> {
    if !roots.are_set() && is_too_high(Path::new(path)) {
        return Err(FileError::TooHigh(PathBuf::from(path)));
    }
    let Some(entry) = roots.entry(path)? else { return Ok(()) };
    let device = fstat(&entry.directory).map_err(|e| entry.failed(e))?.st_dev;
    remove_below(&entry.directory, &entry.name, &entry.shown, device, MAX_DEPTH)
}

/// Returns whether a path is the root, a directory in it, or the home directory.
fn is_too_high(path: &Path) -> bool {
    let Ok(real) = fs::canonicalize(path) else { return false };
    let home = std::env::var_os("HOME").and_then(|home| fs::canonicalize(home).ok());
    real.components().count() <= 2 || home.is_some_and(|home| home.starts_with(&real))
}

fn remove_below(
    directory: &OwnedFd,
    name: &OsStr,
    shown: &Path,
    device: libc::dev_t,
    depth: usize,
) -> Result<(), FileError> {
    let failed = |e: Errno| FileError::System { path: shown.to_owned(), source: e.into() };
    let found = match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => return Ok(()),
        found => found.map_err(failed)?,
    };
    let mut how = UnlinkatFlags::NoRemoveDir;
    if kind(&found) == SFlag::S_IFDIR {
        how = UnlinkatFlags::RemoveDir;
        if found.st_dev != device {
            return Err(FileError::Mount(shown.to_owned()));
        }
        let Some(depth) = depth.checked_sub(1) else { return Err(FileError::TooDeep(shown.to_owned())) };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = openat(directory, name, flags, Mode::empty()).map_err(failed)?;
        // Asked of the descriptor, too: a mount may have been put over the name meanwhile.
        if fs::metadata(path_of(&opened)).map_err(|e| failed(errno_of(&e)))?.dev() != device {
            return Err(FileError::Mount(shown.to_owned()));
        }
        for below in fs::read_dir(path_of(&opened)).map_err(|e| failed(errno_of(&e)))? {
            let below = below.map_err(|e| failed(errno_of(&e)))?.file_name();
            remove_below(&opened, &below, &shown.join(&below), device, depth)?;
        }
    }
    match unlinkat(directory, name, how) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(e) => Err(failed(e)),
    }
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}
