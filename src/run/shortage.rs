//! Errors of the system that pass by themselves: there is too little of something at the moment.

/// What there is too little of, as Linux numbers the errors that say so.
#[must_use]
pub fn of_errno(errno: i32) -> Option<&'static str> {
    Some(match errno {
        11 => "processes",
        12 => "memory",
        23 | 24 => "file descriptors",
        28 => "room on the disk",
        122 => "disk quota",
        _ => return None,
    })
}
