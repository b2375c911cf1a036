//! Cron expressions, in the zone of their job. The library `croner` parses them; this module computes when they are
//! due.
//!
//! Clock changes are treated as by Vixie's cron. An expression with `*` or `*/n` in the minutes or hours follows the
//! local time, in both hours of autumn. Any other one has fixed times: those that a change skips are due together,
//! once, when the clock goes on, and those that come twice are due the first time. Changes of three hours and more are
//! corrections of the clock, and nothing is made up for.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};
use chrono_tz::Tz;
use croner::Weekday;
use croner::parser::{CronParser, Year};

use super::wall_time::{self, ClockChange};
use crate::server::domain::timestamp::Timestamp;

#[cfg(test)]
mod tests;

/// Years after which the calendar repeats itself, weekdays included: an expression that is not due within them never
/// is.
const CALENDAR: u32 = 400;
/// Distance to a far due time at which clock changes are followed again: longer than any change of a clock.
const CHANGE_MARGIN: TimeDelta = TimeDelta::days(3);
/// Length from which on a clock change is a correction.
const CORRECTION: TimeDelta = TimeDelta::hours(3);
const SECOND: TimeDelta = TimeDelta::seconds(1);
/// Number of fields, with the seconds first.
const WITH_SECONDS: usize = 6;

/// Reason why a cron expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCron {
    /// The expression cannot be parsed; the texts are the expression and the cause.
    #[error("{0:?} is no cron expression of five fields, or of six with seconds first: {1}")]
    Unreadable(String, String),
    /// The expression names days that no calendar has.
    #[error("{0:?} never comes: no month has such a day")]
    Never(String),
}

/// Cron expression with what it means, parsed once. Two are equal if they are written alike.
#[derive(Clone, Debug)]
pub struct Cron {
    text: String,
    /// Behind an `Arc`, since a job is cloned where its expression is only looked at.
    parsed: Result<Arc<Expression>, BadCron>,
}

impl Cron {
    /// Parses an expression and checks that it is due at some time.
    ///
    /// # Errors
    /// If it cannot be parsed, or is never due.
    pub fn new(text: &str) -> Result<Self, BadCron> {
        let cron = Self::stored(text.to_owned());
        check(text, cron.expression()?)?;
        Ok(cron)
    }

    /// Parses an expression that was accepted once. One that this version cannot parse is kept as it is written, and a
    /// job that has it gets no next run ([`super::NoNext::BadCron`]) until somebody writes another one.
    #[must_use]
    pub fn stored(text: String) -> Self {
        let parsed = parse(&text).map(Arc::new);
        Self { text, parsed }
    }

    /// Returns the expression as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns what the expression means, or why it cannot be used.
    pub(super) fn expression(&self) -> Result<&Expression, BadCron> {
        self.parsed.as_deref().map_err(Clone::clone)
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Cron {}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Refuses an expression that is never due.
fn check(text: &str, expression: &Expression) -> Result<(), BadCron> {
    // One cycle of the calendar, from any date, has every combination of month, day and weekday.
    let first = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default();
    let last = first.checked_add_months(Months::new(12 * CALENDAR)).unwrap_or(first);
    let comes = expression.next_wall(first.and_time(NaiveTime::MIN), last).is_some();
    if comes { Ok(()) } else { Err(BadCron::Never(text.to_owned())) }
}

/// Meaning of a cron expression.
#[derive(Debug)]
pub(super) struct Expression {
    pattern: croner::CronPattern,
    /// Fields as written, seconds first, in capitals and with numbers in place of names.
    pub(super) fields: [String; WITH_SECONDS],
    /// Whether the expression follows the local time, rather than having fixed times.
    pub(super) is_wild: bool,
    /// Whether a day must match both the day of the month and the day of the week, rather than one of them.
    pub(super) is_both: bool,
    pub(super) hours: Vec<u32>,
    pub(super) minutes: Vec<u32>,
    pub(super) seconds: Vec<u32>,
    pub(super) days: Vec<u32>,
    pub(super) months: Vec<u32>,
    pub(super) weekdays: Vec<u32>,
}

pub(super) fn parse(expression: &str) -> Result<Expression, BadCron> {
    // The parser must be told in advance how the two fields of days combine, which depends on how they are written: so
    // the expression is parsed twice.
    let parser = |both| CronParser::builder().year(Year::Disallowed).dom_and_dow(both).build();
    let read =
        |both| parser(both).parse(expression).map_err(|e| BadCron::Unreadable(expression.to_owned(), e.to_string()));
    let fields = fields(read(false)?.as_str());
    // As with Vixie's cron, a field that begins with a star does not add days to those of the other.
    let is_both = [&fields[3], &fields[5]].into_iter().any(|field| field.starts_with(['*', '?', '+']));
    let pattern = read(is_both)?.pattern;
    let values = |field: &croner::CronComponent| field.values().into_iter().map(u32::from).collect();
    Ok(Expression {
        is_wild: fields[1].starts_with('*') || fields[2].starts_with('*'),
        is_both,
        hours: values(&pattern.hours),
        minutes: values(&pattern.minutes),
        seconds: values(&pattern.seconds),
        days: values(&pattern.days),
        months: values(&pattern.months),
        weekdays: values(&pattern.days_of_week),
        fields,
        pattern,
    })
}

fn fields(text: &str) -> [String; WITH_SECONDS] {
    let written: Vec<&str> = text.split_whitespace().collect();
    let missing = WITH_SECONDS.saturating_sub(written.len());
    std::array::from_fn(|n| match n.checked_sub(missing) {
        Some(n) => written[n].to_owned(),
        // Five fields leave out the seconds, which are 0 then.
        None => "0".to_owned(),
    })
}

/// Returns the first due time after a timestamp, if there is one.
pub(super) fn after(expression: &Expression, zone: Tz, after: Timestamp) -> Option<Timestamp> {
    let last_day = wall_time::shown(after, zone).date().checked_add_months(Months::new(12 * CALENDAR))?;
    let mut from = after.with_nanosecond(0)?.checked_add_signed(SECOND)?;
    // Local time and UTC keep their distance between two clock changes, so each round looks for a due time up to the
    // next change and, where it finds none, goes on behind that change. A due time that is far off is approached first:
    // the changes on the way to it need not be looked at.
    loop {
        let change = wall_time::latest_change(zone, from, CORRECTION);
        // Fixed times that the change skipped are due together, at its first instant.
        if change.is_some_and(|change| change.at == from && expression.is_left_out(change)) {
            return Some(from);
        }
        let shown =
            change.filter(|change| expression.keeps_time(*change)).map_or(wall_time::shown(from, zone), |change| {
                // Local times that were shown before the clock was set back have been due already.
                change.before_it().max(wall_time::shown(from, zone))
            });
        let wall = expression.next_wall(shown, last_day)?;
        let offset = wall_time::offset(from, zone);
        let at = DateTime::from_naive_utc_and_offset(wall.checked_sub_signed(offset)?, chrono::Utc);
        let near = from.checked_add_signed(CHANGE_MARGIN)?;
        from = match wall_time::next_change(zone, from, at.min(near)) {
            Some(change) => change.at,
            None if at <= near => return Some(at),
            None => at.checked_sub_signed(CHANGE_MARGIN)?.max(near),
        };
    }
}

impl Expression {
    /// Returns whether fixed times are kept through a clock change.
    fn keeps_time(&self, change: ClockChange) -> bool {
        !self.is_wild && change.by().abs() < CORRECTION
    }

    /// Returns whether a clock change skips one of the fixed times.
    fn is_left_out(&self, change: ClockChange) -> bool {
        self.keeps_time(change)
            && self.next_wall(change.before_it(), change.after_it().date()).is_some_and(|wall| wall < change.after_it())
    }

    /// Returns the first local time from `from` on that the expression allows, up to and including a day.
    fn next_wall(&self, from: NaiveDateTime, last_day: NaiveDate) -> Option<NaiveDateTime> {
        let (mut date, mut time) = (from.date(), from.time());
        while date <= last_day {
            if !self.pattern.month_match(date.month()).unwrap_or(false) {
                // A month that does not match is passed over as a whole, so that rare dates are found in few steps.
                date = date.with_day(1)?.checked_add_months(Months::new(1))?;
                time = NaiveTime::MIN;
                continue;
            }
            if self.is_day(date)
                && let Some(time) = self.next_time(time)
            {
                return Some(date.and_time(time));
            }
            date = date.checked_add_days(Days::new(1))?;
            time = NaiveTime::MIN;
        }
        None
    }

    fn is_day(&self, date: NaiveDate) -> bool {
        let weekday = Weekday::from_days_from_sunday(date.weekday().num_days_from_sunday());
        self.pattern.day_match(date.year(), date.month(), date.day(), weekday).unwrap_or(false)
    }

    /// Returns the first time of day from `from` on that the expression allows.
    fn next_time(&self, from: NaiveTime) -> Option<NaiveTime> {
        let at_least = |values: &[u32], least: u32| values.iter().copied().find(|value| *value >= least);
        let first = |values: &[u32]| values.first().copied();
        for hour in self.hours.iter().copied().filter(|hour| *hour >= from.hour()) {
            if hour > from.hour() {
                return NaiveTime::from_hms_opt(hour, first(&self.minutes)?, first(&self.seconds)?);
            }
            for minute in self.minutes.iter().copied().filter(|minute| *minute >= from.minute()) {
                let least = if minute > from.minute() { 0 } else { from.second() };
                if let Some(second) = at_least(&self.seconds, least) {
                    return NaiveTime::from_hms_opt(hour, minute, second);
                }
            }
        }
        None
    }

    /// Returns all times of day that the expression allows, in order.
    pub(super) fn times(&self) -> impl Iterator<Item = NaiveTime> {
        let of_minute = |hour: u32, minute: u32| {
            self.seconds.iter().filter_map(move |second| NaiveTime::from_hms_opt(hour, minute, *second))
        };
        let of_hour = move |hour: u32| self.minutes.iter().flat_map(move |minute| of_minute(hour, *minute));
        self.hours.iter().flat_map(move |hour| of_hour(*hour))
    }
}
