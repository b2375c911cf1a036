//! Errno: error numbers of Linux that report a shortage of a resource, which passes by itself.

/// Names the resource that a Linux error number reports as exhausted; `None` for any other error.
#[must_use]
pub fn shortage_of(errno: i32) -> Option<&'static str> {
    Some(match errno {
        // `EAGAIN` (as `fork` reports it), `ENOMEM`, `ENFILE` and `EMFILE`, `ENOSPC`, `EDQUOT`.
        11 => "processes",
        12 => "memory",
        23 | 24 => "file descriptors",
        28 => "room on the disk",
        122 => "disk quota",
        _ => return None,
    })
}
