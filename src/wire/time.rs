//! Timestamps in the original's text formats.
//!
//! A timestamp that is sent carries an offset: `2026-11-23 17:02:01.622914+00:00`. A timestamp that the original's
//! server sends is naive, in the server's own time zone, so little can be concluded from it but its presence.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

/// Most that a naive timestamp can read ahead of UTC now: the largest offset of a time zone (14 hours), and an hour for
/// clocks that differ.
const NAIVE_AHEAD: TimeDelta = TimeDelta::hours(15);

/// Most that a timestamp with an offset may be ahead while its run still counts as due: clocks differ.
const EXACT_AHEAD: TimeDelta = TimeDelta::minutes(5);

/// Formats a timestamp as the API takes it, in UTC with microseconds.
#[must_use]
pub fn sent(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.6f+00:00").to_string()
}

/// Returns whether a received timestamp is so far ahead that its run cannot be due, whatever its zone. Text that is no
/// timestamp counts as due.
#[must_use]
pub fn is_far_ahead(text: &str, now: DateTime<Utc>) -> bool {
    // Received timestamps have a blank or a `T` in the middle; both formats below are read with a `T`.
    let text = text.replacen(' ', "T", 1);
    if let Ok(exact) = DateTime::parse_from_rfc3339(&text) {
        return exact.to_utc() > now + EXACT_AHEAD;
    }
    NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").is_ok_and(|naive| naive.and_utc() > now + NAIVE_AHEAD)
}

#[cfg(test)]
mod tests;
