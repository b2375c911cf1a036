//! A schedule in words, for people.

use chrono::NaiveTime;

use super::cron;
use crate::server::model::{Exclude, Schedule, Unit};

#[cfg(test)]
mod tests;

/// When a job runs by itself; nothing if it does not.
#[must_use]
pub fn in_words(schedule: &Schedule) -> Option<String> {
    match schedule {
        Schedule::None => None,
        Schedule::Interval { every: 1, unit } => Some(format!("every {}", unit_name(*unit))),
        Schedule::Interval { every, unit } => Some(format!("every {every} {}s", unit_name(*unit))),
        Schedule::Cron { expression, zone } => Some(match cron::parse(expression) {
            Ok(parsed) => format!("{} (cron {expression}, {zone})", sentence(&parsed.describe())),
            Err(_) => format!("cron {expression} ({zone})"),
        }),
    }
}

/// A stretch of the day that is left out.
#[must_use]
pub fn exclude_in_words(exclude: &Exclude) -> String {
    let note = if exclude.note.is_empty() { String::new() } else { format!(" ({})", exclude.note) };
    format!("{} to {}{note}", clock(exclude.start), clock(exclude.end))
}

/// A time of the day, without seconds where there are none.
#[must_use]
pub fn clock(time: NaiveTime) -> String {
    let text = time.format("%H:%M:%S").to_string();
    text.strip_suffix(":00").map(str::to_owned).unwrap_or(text)
}

/// A sentence as a part of another.
fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let text = if text.starts_with("At every") { &text[3..] } else { text };
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Minute => "minute",
        Unit::Hour => "hour",
        Unit::Day => "day",
        Unit::Month => "month",
    }
}
