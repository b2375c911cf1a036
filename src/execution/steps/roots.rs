//! Roots of the file commands: directories beneath which they work, so that no `..`, symbolic link or magic link leads
//! anywhere else.
//!
//! A path is opened as the directory that contains it, and all that follows goes by that directory's descriptor: nobody
//! can put a link in its place between the check and the use.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, fstatat, mkdirat};

use super::file_error::FileError;
use super::path_of;

/// Directories beneath which file commands work; without any they work everywhere.
pub(super) struct Roots<'a>(&'a [PathBuf]);

/// Path that a command works on, as its open directory and the name in it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) directory: OwnedFd,
    pub(super) name: OsString,
    /// Path as it was given, for messages.
    pub(super) shown: PathBuf,
}

impl<'a> Roots<'a> {
    pub(super) fn new(roots: &'a [PathBuf]) -> Self {
        Self(roots)
    }

    /// Returns whether file commands are limited to some directories.
    pub(super) fn are_set(&self) -> bool {
        !self.0.is_empty()
    }

    /// Opens the directory of a path; `None` where it does not exist.
    pub(super) fn entry(&self, path: &str) -> Result<Option<Entry>, FileError> {
        let shown = PathBuf::from(path);
        let (Some(name), Some(parent)) = (shown.file_name(), shown.parent()) else {
            return Err(FileError::NoName(shown));
        };
        let directory = match self.directory(&shown, parent) {
            Err(FileError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        Ok(Some(Entry { directory, name: name.to_owned(), shown }))
    }

    /// Opens the directory of a path, and makes it where it does not exist.
    pub(super) fn entry_in_new_directory(&self, path: &str) -> Result<Entry, FileError> {
        if let Some(entry) = self.entry(path)? {
            return Ok(entry);
        }
        let shown = PathBuf::from(path);
        let parent = shown.parent().unwrap_or(Path::new("")).to_owned();
        let failed = |source: io::Error| FileError::System { path: parent.clone(), source };
        if self.are_set() {
            let (root, beneath) = self.root_of(&shown, &parent)?;
            let mut so_far = PathBuf::new();
            for step in beneath.components() {
                so_far.push(step);
                match beneath_root(&root, &so_far, OFlag::O_PATH | OFlag::O_DIRECTORY) {
                    Err(Errno::ENOENT) => make_directory(&root, &so_far).map_err(failed)?,
                    found => drop(found.map_err(|e| failed(e.into()))?),
                }
            }
        } else {
            std::fs::create_dir_all(&parent).map_err(failed)?;
        }
        self.entry(path)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
    }

    /// Opens a file for reading; a symbolic link is followed beneath the roots only.
    pub(super) fn open(&self, path: &str) -> Result<File, FileError> {
        let shown = PathBuf::from(path);
        let failed = |source| FileError::System { path: shown.clone(), source };
        if !self.are_set() {
            return File::open(&shown).map_err(failed);
        }
        let (root, beneath) = self.root_of(&shown, &shown)?;
        let file = beneath_root(&root, &beneath, OFlag::O_RDONLY | OFlag::O_NONBLOCK);
        file.map(File::from).map_err(|e| failed(e.into()))
    }

    fn directory(&self, shown: &Path, parent: &Path) -> Result<OwnedFd, FileError> {
        let failed = |source| FileError::System { path: parent.to_owned(), source };
        if self.are_set() {
            let (root, beneath) = self.root_of(shown, parent)?;
            return beneath_root(&root, &beneath, OFlag::O_PATH | OFlag::O_DIRECTORY).map_err(|e| failed(e.into()));
        }
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        open_directory(parent).map_err(failed)
    }

    /// Opens the root that a path is beneath, and returns the way from it.
    fn root_of(&self, shown: &Path, path: &Path) -> Result<(OwnedFd, PathBuf), FileError> {
        let outside = || FileError::Outside(shown.to_owned());
        if path.components().any(|step| step == Component::ParentDir) {
            return Err(outside());
        }
        let beneath = |root: &PathBuf| Some((root.clone(), path.strip_prefix(root).ok()?.to_owned()));
        // The innermost root, so that it does not matter in which order they are given.
        let found = self.0.iter().filter_map(beneath).max_by_key(|(root, _)| root.as_os_str().len());
        let (root, beneath) = found.ok_or_else(outside)?;
        let opened = open_directory(&root).map_err(|source| FileError::System { path: root, source })?;
        Ok((opened, beneath))
    }
}

impl Entry {
    /// Returns the path by which the system reaches the entry in its open directory.
    pub(super) fn path(&self) -> PathBuf {
        path_of(&self.directory).join(&self.name)
    }

    /// Returns the path of another name in the same directory.
    pub(super) fn beside(&self, name: &OsString) -> PathBuf {
        path_of(&self.directory).join(name)
    }

    /// Makes the error of a call that failed for this entry.
    pub(super) fn failed(&self, source: impl Into<io::Error>) -> FileError {
        FileError::System { path: self.shown.clone(), source: source.into() }
    }

    /// Returns whether there is something of this name, also a link that leads nowhere.
    pub(super) fn exists(&self) -> Result<bool, FileError> {
        match fstatat(&self.directory, self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(e) => Err(self.failed(e)),
        }
    }
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    OpenOptions::new().read(true).custom_flags(flags).open(path).map(OwnedFd::from)
}

fn beneath_root(root: &OwnedFd, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    openat2(root, path, OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve))
}

/// Makes one directory whose parent is there; one that another process has made meanwhile is fine.
fn make_directory(root: &OwnedFd, path: &Path) -> io::Result<()> {
    let parent = beneath_root(root, path.parent().unwrap_or(Path::new("")), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
    match mkdirat(&parent, path.file_name().unwrap_or_default(), Mode::from_bits_truncate(0o777)) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
