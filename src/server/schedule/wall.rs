//! From a time that a clock on the wall shows to the instant it means.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use crate::server::model::Instant;

/// The longest stretch that a clock ever left out, in minutes: a zone that changed its side of the date line.
const LONGEST_GAP: i64 = 24 * 60 + 1;

/// A time on the wall and the instant at which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// What the clock was to show.
    pub wall: NaiveDateTime,
    /// When that is: if the clock leaves the time out, when it goes on.
    pub at: Instant,
}

/// What the wall shows at an instant.
pub(super) fn shown(at: Instant, zone: Tz) -> NaiveDateTime {
    at.with_timezone(&zone).naive_local()
}

/// How far the wall is ahead of UTC at an instant.
pub(super) fn offset(at: Instant, zone: Tz) -> TimeDelta {
    TimeDelta::seconds(i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()))
}

/// The first instant after another at which the wall shows this. A time that is shown twice is taken the first
/// time, if that is after it; for a time that is left out, the instant at which the clock goes on.
pub(super) fn moment(wall: NaiveDateTime, zone: Tz, after: Instant) -> Option<Moment> {
    let utc = |at: DateTime<Tz>| at.with_timezone(&Utc);
    let at = match zone.from_local_datetime(&wall) {
        MappedLocalTime::Single(at) => utc(at),
        MappedLocalTime::Ambiguous(first, second) => Some(utc(first)).filter(|at| *at > after).unwrap_or(utc(second)),
        MappedLocalTime::None => utc(end_of_gap(wall, zone)?),
    };
    Some(Moment { wall, at })
}

/// The first instant that the wall shows after a time that it leaves out. Clocks change at whole minutes.
fn end_of_gap(wall: NaiveDateTime, zone: Tz) -> Option<DateTime<Tz>> {
    let minute = wall.with_second(0)?.with_nanosecond(0)?;
    (1..=LONGEST_GAP)
        .find_map(|more| zone.from_local_datetime(&minute.checked_add_signed(TimeDelta::minutes(more))?).earliest())
}
