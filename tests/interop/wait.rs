//! Waiting for somebody else's database or process, which cannot wake us.

use std::thread::sleep;
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
        pause();
    }
}

/// Until the next look.
#[allow(clippy::disallowed_methods)]
pub fn pause() {
    sleep(LOOK);
}
