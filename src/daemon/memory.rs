//! Returns memory to the system: what only the start needed, which a mostly idle daemon should not hold, and large
//! allocations.
//!
//! Nothing is lost: freed memory goes back to the system, and unmodified pages of the program and its libraries are
//! dropped and read from the file again when needed.

use std::fs;

#[cfg(test)]
mod tests;

/// Range of the address space, from `begin` up to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    begin: usize,
    end: usize,
}

/// Size in bytes from which a freed allocation goes back to the system at once.
const LARGE: libc::c_int = 1024 * 1024;

/// Makes the allocator return large allocations as soon as they are freed. By default glibc raises its threshold after
/// such a free, since it expects more of them, and then keeps up to twice as much in each of its arenas.
pub fn give_back_large_pieces() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a parameter of the allocator and touches no memory.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Returns freed memory and unmodified pages of mapped files to the system.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: returns what was freed and touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
    for Stretch { begin, end } in unchanged(&fs::read_to_string("/proc/self/smaps").unwrap_or_default()) {
        // SAFETY: the range maps a file privately, is not writable and was never modified, so the next access reads the
        // same content from the file.
        unsafe { libc::madvise(begin as *mut libc::c_void, end - begin, libc::MADV_DONTNEED) };
    }
}

/// Returns the ranges of `/proc/self/smaps` that map a file privately, are not writable and have no modified page.
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

/// Parses the first line of a range: `begin-end perms offset device inode path`.
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
