//! Schedules as English text. An expression that cannot be described exactly is shown as it is.

use chrono::NaiveTime;

use super::cron::{Cron, Expression};
use crate::server::domain::model::{Exclude, Schedule, Unit};

#[cfg(test)]
mod tests;

/// Maximum number of values that are listed in a sentence.
const LISTED: usize = 7;
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Describes when a job runs by itself; `None` without a schedule.
#[must_use]
pub fn in_words(schedule: &Schedule) -> Option<String> {
    match schedule {
        Schedule::None => None,
        Schedule::Interval { every: 1, unit } => Some(format!("every {}", unit_name(*unit))),
        Schedule::Interval { every, unit } => Some(format!("every {every} {}s", unit_name(*unit))),
        Schedule::Cron { expression, zone } => Some(match cron_in_words(expression) {
            Some(words) => format!("{words} (cron {expression}, {zone})"),
            None => format!("cron {expression} ({zone})"),
        }),
    }
}

/// Describes a cron expression, where a sentence can do so exactly.
fn cron_in_words(cron: &Cron) -> Option<String> {
    let cron = cron.expression().ok()?;
    let parts = [Some(times(cron)?), days(cron)?, months(cron)?];
    Some(parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// Describes the times of the day.
fn times(cron: &Expression) -> Option<String> {
    let Expression { hours, minutes, seconds, .. } = cron;
    // Seconds other than 0 are described only where they are evenly spaced in every minute.
    if seconds[..] != [0] {
        let always = minutes.len() == 60 && hours.len() == 24 && cron.is_wild;
        return (always && cron.fields[0].starts_with('*')).then(|| every(seconds, 60, "second"))?;
    }
    if !cron.is_wild {
        let all = hours.len() * minutes.len();
        let at: Vec<_> = cron.times().take(LISTED + 1).map(clock).collect();
        return (all <= LISTED).then(|| format!("at {}", list(&at)));
    }
    // Local time counts for these, so `every` is exact also where the clock changes.
    match (every(minutes, 60, "minute"), &minutes[..], every(hours, 24, "hour")) {
        (Some(minutes), _, _) if hours.len() == 24 => Some(minutes),
        (_, [minute], Some(hours)) => Some(format!("{hours} at minute {minute}")),
        (Some(minutes), _, None) => {
            let (first, last) = (hours.first()?, hours.last()?);
            let is_range = hours.len() as u32 == last - first + 1;
            is_range.then(|| format!("{minutes} from {first:02}:00 to {last:02}:59"))
        }
        _ => None,
    }
}

/// Describes values as `every 5 minutes`, if they are evenly spaced from 0.
fn every(values: &[u32], all: u32, unit: &str) -> Option<String> {
    let step = all / u32::try_from(values.len()).ok().filter(|count| *count > 1)?;
    let is_every = all.is_multiple_of(step) && (0..all).step_by(step as usize).eq(values.iter().copied());
    match step {
        _ if !is_every => None,
        1 => Some(format!("every {unit}")),
        step => Some(format!("every {step} {unit}s")),
    }
}

/// Describes the days. `None` where no sentence does; `Some(None)` for every day, which is not mentioned.
fn days(cron: &Expression) -> Option<Option<String>> {
    let of_month = match &cron.fields[3][..] {
        "L" => Some("on the last day of the month".to_owned()),
        // `L` and `W` mean another day in each month, so the values of the field do not describe the days.
        field if field.contains(['L', 'W']) => return None,
        _ if cron.days.len() == 31 => None,
        _ if cron.days.len() <= LISTED => Some(format!("on day {} of the month", list(&numbers(&cron.days)))),
        _ => return None,
    };
    let of_week = match &cron.fields[5][..] {
        field if field.contains(['L', '#']) => return None,
        _ if cron.weekdays.len() == 7 => None,
        _ => Some(weekdays(&cron.weekdays)),
    };
    match (of_month, of_week) {
        (Some(month), Some(week)) if cron.is_both => Some(Some(format!("{month} if that is {week}"))),
        (Some(month), Some(week)) => Some(Some(format!("{month} or on {week}"))),
        // Where one of the two fields allows every day, a day that matches either is every day.
        (Some(_), None) | (None, Some(_)) if !cron.is_both => Some(None),
        (Some(month), None) => Some(Some(month)),
        (None, week) => Some(week.map(|week| format!("on {week}"))),
    }
}

fn weekdays(days: &[u32]) -> String {
    match (days, days.len()) {
        ([first, .., last], 3..) if last - first + 1 == days.len() as u32 => {
            format!("{} to {}", WEEKDAYS[*first as usize], WEEKDAYS[*last as usize])
        }
        _ => list(&days.iter().map(|day| WEEKDAYS[*day as usize].to_owned()).collect::<Vec<_>>()),
    }
}

fn months(cron: &Expression) -> Option<Option<String>> {
    match cron.months.len() {
        12 => Some(None),
        1..=LISTED => {
            let names = cron.months.iter().map(|month| MONTHS[*month as usize - 1].to_owned());
            Some(Some(format!("in {}", list(&names.collect::<Vec<_>>()))))
        }
        _ => None,
    }
}

fn numbers(values: &[u32]) -> Vec<String> {
    values.iter().map(u32::to_string).collect()
}

/// Joins items as `a, b and c`.
fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Describes an exclude: the stretch of the day, and the note in parentheses.
#[must_use]
pub fn exclude_in_words(exclude: &Exclude) -> String {
    let note = if exclude.note.is_empty() { String::new() } else { format!(" ({})", exclude.note) };
    format!("{} to {}{note}", clock(exclude.start), clock(exclude.end))
}

/// Formats a time of the day, without seconds where they are 0.
#[must_use]
pub fn clock(time: NaiveTime) -> String {
    let text = time.format("%H:%M:%S").to_string();
    text.strip_suffix(":00").map(str::to_owned).unwrap_or(text)
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Minute => "minute",
        Unit::Hour => "hour",
        Unit::Day => "day",
        Unit::Month => "month",
    }
}
