//! Excludes: times of the day at which a job is not scheduled.

use chrono::{NaiveTime, TimeDelta};
use chrono_tz::Tz;

use super::wall_time;
use crate::server::domain::model::{Exclude, Timestamp};

/// Returns the exclude that covers a timestamp, if one does. Both ends belong to an exclude; one that begins later than
/// it ends reaches over midnight.
pub(super) fn covering(excludes: &[Exclude], at: Timestamp, zone: Tz) -> Option<&Exclude> {
    of(excludes, wall_time::shown(at, zone).time())
}

/// Returns the exclude that covers a time of the day, if one does.
pub(super) fn of(excludes: &[Exclude], time: NaiveTime) -> Option<&Exclude> {
    excludes.iter().find(|exclude| covers(exclude, time))
}

fn covers(exclude: &Exclude, time: NaiveTime) -> bool {
    if exclude.start <= exclude.end {
        exclude.start <= time && time <= exclude.end
    } else {
        exclude.start <= time || time <= exclude.end
    }
}

/// Returns the end of an exclude that covers `at`: its last instant.
pub(super) fn end(exclude: &Exclude, at: Timestamp, zone: Tz) -> Option<Timestamp> {
    let shown = wall_time::shown(at, zone);
    let day = if shown.time() <= exclude.end { shown.date() } else { shown.date() + TimeDelta::days(1) };
    Some(wall_time::moment(day.and_time(exclude.end), zone, at)?.at)
}
