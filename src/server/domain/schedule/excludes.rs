//! Times of the day at which a job is not scheduled.

use chrono::{NaiveTime, TimeDelta};
use chrono_tz::Tz;

use super::wall_time;
use crate::server::domain::model::{Exclude, Timestamp};

/// The exclude that leaves an instant out, if one does. Both ends belong to it; one that begins later than it
/// ends reaches over midnight.
pub(super) fn covering(excludes: &[Exclude], at: Timestamp, zone: Tz) -> Option<&Exclude> {
    of(excludes, wall_time::shown(at, zone).time())
}

/// The exclude that leaves a time of the day out, if one does.
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

/// The last instant of an exclude that covers this one.
pub(super) fn end(exclude: &Exclude, at: Timestamp, zone: Tz) -> Option<Timestamp> {
    let shown = wall_time::shown(at, zone);
    let day = if shown.time() <= exclude.end { shown.date() } else { shown.date() + TimeDelta::days(1) };
    Some(wall_time::moment(day.and_time(exclude.end), zone, at)?.at)
}
