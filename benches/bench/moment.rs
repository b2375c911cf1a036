//! Moments that the processes of a measurement have in common: microseconds since 1970.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970; 0 where something has not happened.
pub type Moment = u64;

/// This one.
pub fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(Moment::MAX)
}

/// Reads `EPOCHREALTIME`, which has a comma in some languages.
pub fn of_bash(text: &str) -> Option<Moment> {
    let (seconds, micros) = text.trim().split_once(['.', ','])?;
    Some(seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok().filter(|_| micros.len() == 6)?)
}

/// Milliseconds from one to the other, less than nothing where they are the other way round.
pub fn millis(from: Moment, to: Moment) -> f64 {
    (to as f64 - from as f64) / 1e3
}
