//! From a path to text: regular files alone, bounded, UTF-8.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use thiserror::Error;

/// No configuration is this long; a mistaken path to a disk image is.
const MAX_BYTES: u64 = 1024 * 1024;

/// What some Windows editors put first. Python 2 stumbles over it.
const BOM: &str = "\u{feff}";

/// Why a file was not read.
#[derive(Debug, Error)]
pub enum UnreadableFile {
    /// It is not there, or not for us.
    #[error("cannot be read: {0}")]
    Open(#[from] io::Error),
    /// A directory, a pipe, a device.
    #[error("is no regular file")]
    NotRegular,
    /// Longer than any configuration.
    #[error("is longer than 1 MB")]
    TooLong,
}

/// Why bytes are no text for us; offsets are in bytes, from 0.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoText {
    /// Latin-1, most likely.
    #[error("has a byte at offset {offset} that is not UTF-8; save the file as UTF-8")]
    NotUtf8 {
        /// Where the first one is.
        offset: usize,
        /// Its line, from 1.
        line: usize,
    },
    /// A zero byte cannot be meant.
    #[error("has a NUL byte at offset {offset}; remove it")]
    Nul {
        /// Where the first one is.
        offset: usize,
        /// Its line, from 1.
        line: usize,
    },
}

impl NoText {
    /// The line it is on, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        match self {
            Self::NotUtf8 { line, .. } | Self::Nul { line, .. } => *line,
        }
    }
}

/// What was in a file.
#[derive(Debug)]
pub struct FileContent {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether others than its owner may read it.
    pub exposed: bool,
}

/// Reads a file without ever waiting for one: a pipe is opened without blocking, then refused.
pub fn read(path: &Path) -> Result<FileContent, UnreadableFile> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(UnreadableFile::NotRegular);
    }
    let bytes = bounded(&file)?;
    Ok(FileContent { bytes, exposed: metadata.permissions().mode() & 0o044 != 0 })
}

fn bounded(file: &File) -> Result<Vec<u8>, UnreadableFile> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES { Err(UnreadableFile::TooLong) } else { Ok(bytes) }
}

/// The text without its byte order mark, and whether there was one.
pub fn text(bytes: &[u8]) -> Result<(&str, bool), NoText> {
    let line = |offset: usize| 1 + bytes[..offset].iter().filter(|byte| **byte == b'\n').count();
    let text = str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        NoText::NotUtf8 { offset, line: line(offset) }
    })?;
    if let Some(offset) = text.find('\0') {
        return Err(NoText::Nul { offset, line: line(offset) });
    }
    Ok(text.strip_prefix(BOM).map_or((text, false), |text| (text, true)))
}
