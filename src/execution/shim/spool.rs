//! Output of a run on disk: the head, and a ring with the tail, bounded however much the script prints.
//!
//! The file begins with [`MAGIC`], the sizes of head and ring and the number of bytes of output so far, each a
//! little-endian `u64`; then the head; then the ring, in which the byte at output offset `o` stands at `(o - head) %
//! ring`. Data is written before the number, so that a reader of a file in use never sees a byte that is not there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// First eight bytes of an output file.
pub const MAGIC: &[u8; 8] = b"JRSPOOL1";
/// Length in bytes of everything before the head.
pub const HEADER: u64 = 32;

/// Writing side of an output file. The file is created with the first byte.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    file: Option<File>,
    head: u64,
    ring: u64,
    written: u64,
    stored: u64,
    broken: bool,
}

impl Spool {
    /// Creates a spool that keeps the first `head` and the last `tail` bytes.
    #[must_use]
    pub fn new(path: &Path, head: u64, tail: u64) -> Self {
        Self { path: path.to_owned(), file: None, head, ring: tail, written: 0, stored: 0, broken: false }
    }

    /// Returns the number of bytes of output so far, stored or not.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Stores output. A full disk does not stop the script: from the first failure on, output is only counted.
    pub fn write(&mut self, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        self.written += data.len() as u64;
        if !self.broken && self.store(data).is_err() {
            self.broken = true;
        }
    }

    /// Forces the stored output to the disk.
    ///
    /// # Errors
    /// If the disk reports an error.
    pub fn sync(&self) -> io::Result<()> {
        match &self.file {
            Some(file) => file.sync_all(),
            None => Ok(()),
        }
    }

    fn store(&mut self, data: &[u8]) -> io::Result<()> {
        let (head, ring) = (self.head, self.ring);
        let offset = self.stored;
        let total = offset + data.len() as u64;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(
                OpenOptions::new()
                    .create(true)
                    .truncate(true)
                    .write(true)
                    .mode(0o600)
                    .custom_flags(libc::O_NOFOLLOW)
                    .open(&self.path)?,
            ),
        };
        let for_head = usize::try_from(head.saturating_sub(offset)).unwrap_or(usize::MAX).min(data.len());
        let (to_head, to_ring) = data.split_at(for_head);
        if offset == 0 {
            // Header and data in one call, for the many scripts that print a line or two.
            let mut first = header(head, ring, to_head.len() as u64).to_vec();
            first.extend_from_slice(to_head);
            file.write_all_at(&first, 0)?;
        } else if !to_head.is_empty() {
            file.write_all_at(to_head, HEADER + offset)?;
        }
        if !to_ring.is_empty() && ring > 0 {
            // Of data longer than the ring only the end would survive.
            let skip = to_ring.len().saturating_sub(usize::try_from(ring).unwrap_or(usize::MAX));
            let mut at = (offset + (for_head + skip) as u64 - head) % ring;
            let mut rest = &to_ring[skip..];
            while !rest.is_empty() {
                let fits = usize::try_from(ring - at).unwrap_or(usize::MAX).min(rest.len());
                file.write_all_at(&rest[..fits], HEADER + head + at)?;
                rest = &rest[fits..];
                at = 0;
            }
        }
        // The number comes last, so that a concurrent reader never trusts bytes that are not written yet.
        if offset != 0 || !to_ring.is_empty() {
            file.write_all_at(&total.to_le_bytes(), HEADER - 8)?;
        }
        self.stored = total;
        Ok(())
    }
}

fn header(head: u64, ring: u64, total: u64) -> [u8; HEADER as usize] {
    let mut bytes = [0; HEADER as usize];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&head.to_le_bytes());
    bytes[16..24].copy_from_slice(&ring.to_le_bytes());
    bytes[24..].copy_from_slice(&total.to_le_bytes());
    bytes
}

/// Content of an output file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// First bytes of the output.
    pub head: Vec<u8>,
    /// Number of bytes between head and tail that were not kept.
    pub between: u64,
    /// Last bytes of the output, behind the gap.
    pub tail: Vec<u8>,
    /// Total number of bytes that the script has printed.
    pub total: u64,
}

/// Reads an output file. A missing or empty file is empty output.
///
/// # Errors
/// If the file cannot be read, or is not an output file.
pub fn read(path: &Path) -> io::Result<Kept> {
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
        file => file?,
    };
    let mut bytes = [0; HEADER as usize];
    if let Err(e) = file.read_exact_at(&mut bytes, 0) {
        // The header is written with the first data: a shorter file belongs to a script that has printed nothing yet.
        return if e.kind() == io::ErrorKind::UnexpectedEof { Ok(Kept::default()) } else { Err(e) };
    }
    if &bytes[..8] != MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not an output file of ours"));
    }
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
    let (head_size, ring, total) = (number(8), number(16), number(24));
    let head = piece(&file, HEADER, head_size.min(total))?;
    let behind_head = HEADER.saturating_add(head_size);
    let behind = total.saturating_sub(head_size);
    if behind <= ring {
        let tail = piece(&file, behind_head, behind)?;
        return Ok(Kept { head, between: 0, tail, total });
    }
    let at = behind % ring.max(1);
    let mut tail = piece(&file, behind_head.saturating_add(at), ring - at)?;
    tail.extend(piece(&file, behind_head, at)?);
    Ok(Kept { head, between: behind - ring, tail, total })
}

/// Reads up to `most` bytes from offset `from` of an output that is still complete. `None` if bytes between head and
/// tail are missing by now.
///
/// # Errors
/// As [`read`].
pub fn read_piece(path: &Path, from: u64, most: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Some(Vec::new())),
        file => file?,
    };
    let mut bytes = [0; HEADER as usize];
    if let Err(e) = file.read_exact_at(&mut bytes, 0) {
        return if e.kind() == io::ErrorKind::UnexpectedEof { Ok(Some(Vec::new())) } else { Err(e) };
    }
    if &bytes[..8] != MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not an output file of ours"));
    }
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
    let total = number(24);
    if total > number(8).saturating_add(number(16)) {
        return Ok(None);
    }
    // Until the ring is full, its content simply follows the head.
    piece(&file, HEADER.saturating_add(from), total.saturating_sub(from).min(most)).map(Some)
}

/// Part of an output, as far as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptPart {
    /// Bytes of the output.
    Bytes(Vec<u8>),
    /// Number of bytes that were not kept.
    Gap(u64),
}

/// Reads up to `most` bytes from offset `from`, or tells how many bytes from there were not kept. A file in use may
/// overwrite what is read; then the answer is the gap.
///
/// # Errors
/// As [`read`].
pub fn read_kept(path: &Path, from: u64, most: u64) -> io::Result<KeptPart> {
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(KeptPart::Bytes(Vec::new())),
        file => file?,
    };
    let Some((head, ring, total)) = sizes(&file)? else { return Ok(KeptPart::Bytes(Vec::new())) };
    if from < head {
        return piece(&file, HEADER.saturating_add(from), head.min(total).saturating_sub(from).min(most))
            .map(KeptPart::Bytes);
    }
    // Everything before this offset was overwritten, except the head.
    let kept_from = |total: u64| total.saturating_sub(ring).max(head);
    if from < kept_from(total) {
        return Ok(KeptPart::Gap(kept_from(total) - from));
    }
    // Up to the end of the ring in the file; the next call goes on at its beginning.
    let at = (from - head) % ring.max(1);
    let bytes = piece(
        &file,
        HEADER.saturating_add(head).saturating_add(at),
        total.saturating_sub(from).min(ring.saturating_sub(at)).min(most),
    )?;
    // The ring may have come round meanwhile.
    let now = sizes(&file)?.map_or(total, |(_, _, now)| now);
    if from < kept_from(now) { Ok(KeptPart::Gap(kept_from(now) - from)) } else { Ok(KeptPart::Bytes(bytes)) }
}

/// Reads the sizes of head and ring, and the number of bytes of output; `None` where nothing was printed yet.
fn sizes(file: &File) -> io::Result<Option<(u64, u64, u64)>> {
    let mut bytes = [0; HEADER as usize];
    if let Err(e) = file.read_exact_at(&mut bytes, 0) {
        return if e.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(e) };
    }
    if &bytes[..8] != MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not an output file of ours"));
    }
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
    Ok(Some((number(8), number(16), number(24))))
}

/// Reads bytes that the header promises. The length of the file is checked first, because a damaged header may promise
/// any number.
fn piece(file: &File, at: u64, len: u64) -> io::Result<Vec<u8>> {
    if len > file.metadata()?.len().saturating_sub(at) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
