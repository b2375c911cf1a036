//! Intervals: a number of minutes, hours, days or months after the last due time.
//!
//! The local hour stays through a clock change. An interval that is not longer than the change itself cannot keep the
//! hour without running twice or not at all, so elapsed time counts for it.

use chrono::{Datelike, Months, NaiveDateTime, TimeDelta};
use chrono_tz::Tz;

use super::wall_time::{self, WallMoment, moment};
use crate::server::domain::model::{Timestamp, Unit};

#[cfg(test)]
mod tests;

/// Distance to now that a leap keeps: clock changes within it are stepped through one by one.
const WALKED: TimeDelta = TimeDelta::days(3);

/// Returns the due time after `from`.
pub(super) fn step(from: WallMoment, every: u32, unit: Unit, zone: Tz) -> Option<WallMoment> {
    // An interval behind a time that a clock change moved counts from the local time it stands for, so it has its old
    // hour again; only an unmoved one may go by elapsed time.
    if let Some(elapsed) = length(every, unit)
        && wall_time::shown(from.at, zone) == from.wall
    {
        let at = from.at.checked_add_signed(elapsed)?;
        let change = (wall_time::offset(at, zone) - wall_time::offset(from.at, zone)).abs();
        if elapsed <= change {
            return Some(WallMoment { wall: wall_time::shown(at, zone), at });
        }
    }
    moment(advance(from.wall, every, unit)?, zone, from.at)
}

/// Takes as many whole steps at once as stay well before `now`. Months have no fixed length, and are not leapt.
pub(super) fn leap(from: WallMoment, every: u32, unit: Unit, zone: Tz, now: Timestamp) -> WallMoment {
    // Days have 24 hours here, because local times are added up, not elapsed ones.
    let Some(length) = length(every, unit).or_else(|| (unit == Unit::Day).then(|| days(every)).flatten()) else {
        return from;
    };
    let far = wall_time::shown(now, zone) - from.wall - WALKED;
    let steps = far.num_seconds() / length.num_seconds();
    let leapt = i32::try_from(steps)
        .ok()
        .filter(|steps| *steps > 0)
        .and_then(|steps| moment(from.wall.checked_add_signed(length.checked_mul(steps)?)?, zone, from.at));
    leapt.unwrap_or(from)
}

/// Returns to how many times of the day steps lead at most before they return to the first, while no clock changes.
pub(super) fn times_of_day(unit: Unit) -> u32 {
    match unit {
        Unit::Minute => 24 * 60,
        Unit::Hour => 24,
        Unit::Day | Unit::Month => 1,
    }
}

/// Returns the length of a step, where it is the same everywhere.
fn length(every: u32, unit: Unit) -> Option<TimeDelta> {
    match unit {
        Unit::Minute => TimeDelta::try_minutes(every.into()),
        Unit::Hour => TimeDelta::try_hours(every.into()),
        Unit::Day | Unit::Month => None,
    }
}

fn days(every: u32) -> Option<TimeDelta> {
    TimeDelta::try_days(every.into())
}

fn advance(wall: NaiveDateTime, every: u32, unit: Unit) -> Option<NaiveDateTime> {
    match unit {
        Unit::Minute | Unit::Hour => wall.checked_add_signed(length(every, unit)?),
        Unit::Day => wall.checked_add_signed(days(every)?),
        // As many days as the month has, once for each month: 31 January is followed by 3 March.
        Unit::Month => (0..every).try_fold(wall, |wall, _| wall.checked_add_signed(days(days_of_month(wall)?)?)),
    }
}

fn days_of_month(wall: NaiveDateTime) -> Option<u32> {
    let first = wall.date().with_day(1)?;
    u32::try_from((first.checked_add_months(Months::new(1))? - first).num_days()).ok()
}
