//! Configuration files on disk: only regular files of bounded size, decoded as UTF-8.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use thiserror::Error;

/// Maximum number of bytes of a configuration file. A longer file is a mistaken path, for example to a disk image.
const MAX_BYTES: u64 = 1024 * 1024;

/// Byte order mark that some Windows editors write. Python 2 fails on it.
const BOM: &str = "\u{feff}";

/// Reason why a file was not read.
#[derive(Debug, Error)]
pub enum UnreadableFile {
    /// The file does not exist or may not be read.
    #[error("cannot be read: {0}")]
    Open(#[from] io::Error),
    /// The path is a directory, a pipe or a device.
    #[error("is no regular file")]
    NotRegular,
    /// The file exceeds the longest possible configuration.
    #[error("is longer than 1 MB")]
    TooLong,
}

/// Reason why the bytes of a file are not usable text. Offsets are in bytes, from 0.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoText {
    /// A byte sequence is not UTF-8; most likely the file is in Latin-1.
    #[error("has a byte at offset {offset} that is not UTF-8; save the file as UTF-8")]
    NotUtf8 {
        /// Offset of the first invalid byte.
        offset: usize,
        /// Line of that byte, from 1.
        line: usize,
    },
    /// The text contains a zero byte, which cannot be meant.
    #[error("has a NUL byte at offset {offset}; remove it")]
    Nul {
        /// Offset of the first zero byte.
        offset: usize,
        /// Line of that byte, from 1.
        line: usize,
    },
}

impl NoText {
    /// Returns the line of the fault, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        match self {
            Self::NotUtf8 { line, .. } | Self::Nul { line, .. } => *line,
        }
    }
}

/// Content of a file, with its protection.
#[derive(Debug)]
pub struct FileContent {
    /// Bytes of the file, undecoded.
    pub bytes: Vec<u8>,
    /// Whether the group or others may read the file.
    pub exposed: bool,
}

/// Reads a file without ever blocking: a pipe is opened in non-blocking mode, then refused.
pub fn read(path: &Path) -> Result<FileContent, UnreadableFile> {
    // Opening a pipe without a writer would block the start for ever.
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
    // One byte more than allowed is enough to tell that the file is too long.
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES { Err(UnreadableFile::TooLong) } else { Ok(bytes) }
}

/// Decodes a file. Returns the text without its byte order mark, and whether it had one.
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
