//! Timestamps as Job-Runner writes them.
//!
//! What is sent carries an offset: `2026-11-23 17:02:01.622914+00:00`. What is received is naive, in
//! the server's own time zone, and good for little more than to see whether it is there.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

/// How far ahead a naive time can read at most: the largest difference of a time zone to UTC, and
/// an hour for clocks that differ.
const NAIVE_AHEAD: TimeDelta = TimeDelta::hours(15);

/// How far ahead a time with an offset may be: clocks differ.
const EXACT_AHEAD: TimeDelta = TimeDelta::minutes(5);

/// The text of a time that is sent.
#[must_use]
pub fn sent(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.6f+00:00").to_string()
}

/// Whether a received time is so far ahead that its run cannot be due, whatever its zone.
/// A text that is no time is taken for due.
#[must_use]
pub fn is_far_ahead(text: &str, now: DateTime<Utc>) -> bool {
    let text = text.replacen(' ', "T", 1);
    if let Ok(exact) = DateTime::parse_from_rfc3339(&text) {
        return exact.to_utc() > now + EXACT_AHEAD;
    }
    NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").is_ok_and(|naive| naive.and_utc() > now + NAIVE_AHEAD)
}

#[cfg(test)]
mod tests;
