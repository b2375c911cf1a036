//! Waiting for somebody else's database or process, which cannot wake us.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The first `Some` of `look`, which gets `seconds` to come.
///
/// # Panics
///
/// When the time is over; `what` says what did not happen.
pub fn until<T>(what: &str, seconds: u64, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {seconds} s: {what}");
        pause(LOOK);
    }
}

/// Lets time pass: between two looks, or where the time itself is what is tested.
#[expect(clippy::disallowed_methods, reason = "a foreign process, or its database, wakes nobody")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
