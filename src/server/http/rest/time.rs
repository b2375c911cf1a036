//! Timestamps in the original's text format: naive ones are in the server's zone.

use chrono::{DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;

use crate::server::domain::model::Timestamp;

#[cfg(test)]
mod tests;

/// Years that can be written, as in the original; in every zone they can be shown.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

/// Formats a timestamp: naive, with microseconds where there are any.
#[must_use]
pub fn shown(at: Timestamp, zone: Tz) -> String {
    let local = at.with_timezone(&zone).naive_local();
    let format = if at.timestamp_subsec_micros() == 0 { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%dT%H:%M:%S%.6f" };
    local.format(format).to_string()
}

/// Parses a timestamp with an offset or a naive one, with `T` or a space, or a date alone.
#[must_use]
pub fn read(text: &str, zone: Tz) -> Option<Timestamp> {
    let text = text.trim().replacen(' ', "T", 1);
    if let Ok(exact) = DateTime::parse_from_rfc3339(&text) {
        return YEARS.contains(&exact.year()).then(|| whole(exact.to_utc())).flatten();
    }
    let naive = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M"))
        .or_else(|_| NaiveDate::parse_from_str(&text, "%Y-%m-%d").map(|date| date.and_time(chrono::NaiveTime::MIN)))
        .ok()
        .filter(|naive| YEARS.contains(&naive.year()))?;
    match zone.from_local_datetime(&naive) {
        // Of the hour that a change of the clocks repeats, the first one counts.
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => whole(at.to_utc()),
        // A time in the hour that a change of the clocks leaves out is taken for the time one hour later.
        LocalResult::None => {
            let later = naive.checked_add_signed(chrono::TimeDelta::hours(1))?;
            zone.from_local_datetime(&later).earliest().map(|at| at.to_utc())
        }
    }
}

/// Cuts a timestamp to microseconds, the precision that is stored.
fn whole(at: DateTime<Utc>) -> Option<Timestamp> {
    DateTime::from_timestamp_micros(at.timestamp_micros())
}
