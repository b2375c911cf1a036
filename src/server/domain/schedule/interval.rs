//! Intervals: every so many minutes, hours, days or months after the last time.
//!
//! The hour on the wall stays through a change of the clocks. What is not longer than the change itself
//! cannot keep it without running twice or not at all, so it goes by elapsed time.

use chrono::{Datelike, Months, NaiveDateTime, TimeDelta};
use chrono_tz::Tz;

use super::wall_time::{self, WallMoment, moment};
use crate::server::domain::model::{Timestamp, Unit};

#[cfg(test)]
mod tests;

/// How close to now the steps are taken one by one.
const WALKED: TimeDelta = TimeDelta::days(3);

/// The time after this one.
pub(super) fn step(from: WallMoment, every: u32, unit: Unit, zone: Tz) -> Option<WallMoment> {
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

/// As far as whole steps can be taken at once and stay well before an instant.
pub(super) fn leap(from: WallMoment, every: u32, unit: Unit, zone: Tz, now: Timestamp) -> WallMoment {
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

/// To how many times of the day steps come before they come back to the first, at most, while the clock is not set.
pub(super) fn times_of_day(unit: Unit) -> u32 {
    match unit {
        Unit::Minute => 24 * 60,
        Unit::Hour => 24,
        Unit::Day | Unit::Month => 1,
    }
}

/// How long a step is, if that is the same everywhere.
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
        // As many days as the month has, once for each month: the 31st of January is followed by the 3rd of March.
        Unit::Month => (0..every).try_fold(wall, |wall, _| wall.checked_add_signed(days(days_of_month(wall)?)?)),
    }
}

fn days_of_month(wall: NaiveDateTime) -> Option<u32> {
    let first = wall.date().with_day(1)?;
    u32::try_from((first.checked_add_months(Months::new(1))? - first).num_days()).ok()
}
