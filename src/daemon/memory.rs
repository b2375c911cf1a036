//! Memory that is given back to the system: what only the start needed, which a daemon that idles most of its life should not
//! hold, and large pieces.
//!
//! Nothing is lost with it. Freed memory goes back to the system; of the program and its libraries go the pages that nobody
//! has changed, which the system reads again when they are needed.

use std::fs;

#[cfg(test)]
mod tests;

/// A stretch of our address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    begin: usize,
    end: usize,
}

/// What is at least this long goes back to the system when it is freed, in bytes.
const LARGE: libc::c_int = 1024 * 1024;

/// Has large pieces of memory given back as soon as they are freed. By itself glibc takes a large piece that is freed for a
/// sign that others will be needed, and keeps the next ones, up to twice as much for each of its arenas.
pub fn give_back_large_pieces() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets what the allocator goes by, and touches no memory.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Gives it back.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it gives back what was freed, and touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
    for Stretch { begin, end } in unchanged(&fs::read_to_string("/proc/self/smaps").unwrap_or_default()) {
        // SAFETY: the stretch shows a file, cannot be written and was never changed, so that the next access finds what
        // was there before.
        unsafe { libc::madvise(begin as *mut libc::c_void, end - begin, libc::MADV_DONTNEED) };
    }
}

/// What of `/proc/self/smaps` shows a file, privately, cannot be written and has no page of its own.
fn unchanged(smaps: &str) -> Vec<Stretch> {
    let mut found = Vec::new();
    let mut current = None;
    for line in smaps.lines() {
        if let Some(stretch) = header(line) {
            current = stretch.shows_file.then_some(stretch.stretch);
        } else if let Some(anonymous) = line.strip_prefix("Anonymous:")
            && let Some(stretch) = current.take()
            && anonymous.trim() == "0 kB"
        {
            found.push(stretch);
        }
    }
    found
}

struct Header {
    stretch: Stretch,
    shows_file: bool,
}

/// The first line of a stretch: `begin-end perms offset device inode path`.
fn header(line: &str) -> Option<Header> {
    let mut fields = line.split_ascii_whitespace();
    let (begin, end) = fields.next()?.split_once('-')?;
    let begin = usize::from_str_radix(begin, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    let permissions = fields.next()?;
    let inode = fields.nth(2)?;
    let shows_file = inode != "0" && matches!(permissions, "r--p" | "r-xp");
    Some(Header { stretch: Stretch { begin, end }, shows_file })
}
