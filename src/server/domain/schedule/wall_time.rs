//! From a time that a clock on the wall shows to the instant it means.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use crate::server::domain::model::Timestamp;

/// The longest stretch that a clock ever left out, in minutes: a zone that changed its side of the date line.
const LONGEST_GAP: i64 = 24 * 60 + 1;

/// A time on the wall and the instant at which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WallMoment {
    /// What the clock was to show.
    pub wall: NaiveDateTime,
    /// When that is: if the clock leaves the time out, when it goes on.
    pub at: Timestamp,
}

/// What the wall shows at an instant.
pub(super) fn shown(at: Timestamp, zone: Tz) -> NaiveDateTime {
    at.with_timezone(&zone).naive_local()
}

/// How far the wall is ahead of UTC at an instant.
pub(super) fn offset(at: Timestamp, zone: Tz) -> TimeDelta {
    TimeDelta::seconds(i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()))
}

/// The first instant after another at which the wall shows this. A time that is shown twice is taken the first
/// time, if that is after it; for a time that is left out, the instant at which the clock goes on.
pub(super) fn moment(wall: NaiveDateTime, zone: Tz, after: Timestamp) -> Option<WallMoment> {
    let utc = |at: DateTime<Tz>| at.with_timezone(&Utc);
    let at = match zone.from_local_datetime(&wall) {
        MappedLocalTime::Single(at) => utc(at),
        MappedLocalTime::Ambiguous(first, second) => Some(utc(first)).filter(|at| *at > after).unwrap_or(utc(second)),
        MappedLocalTime::None => utc(end_of_gap(wall, zone)?),
    };
    Some(WallMoment { wall, at })
}

/// The first instant that the wall shows after a time that it leaves out. Clocks change at whole minutes.
fn end_of_gap(wall: NaiveDateTime, zone: Tz) -> Option<DateTime<Tz>> {
    let minute = wall.with_second(0)?.with_nanosecond(0)?;
    (1..=LONGEST_GAP)
        .find_map(|more| zone.from_local_datetime(&minute.checked_add_signed(TimeDelta::minutes(more))?).earliest())
}

/// How far a look for a change of the clock goes at once. No clock was set twice within it.
const STRIDE: TimeDelta = TimeDelta::hours(12);

/// A change of the clock on the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClockChange {
    /// The first instant of the new time.
    pub at: Timestamp,
    /// How far the wall was ahead of UTC before.
    pub before: TimeDelta,
    /// How far it is since.
    pub after: TimeDelta,
}

impl ClockChange {
    /// By how much the clock was set on.
    pub(super) fn by(self) -> TimeDelta {
        self.after - self.before
    }

    /// What the wall would show if it had not been set.
    pub(super) fn before_it(self) -> NaiveDateTime {
        self.at.naive_utc() + self.before
    }

    /// What it shows.
    pub(super) fn after_it(self) -> NaiveDateTime {
        self.at.naive_utc() + self.after
    }
}

/// The first change after an instant, until another one, which belongs to it.
pub(super) fn next_change(zone: Tz, after: Timestamp, until: Timestamp) -> Option<ClockChange> {
    let before = offset(after, zone);
    let mut same = after;
    while same < until {
        let ahead = same.checked_add_signed(STRIDE)?.min(until);
        if offset(ahead, zone) != before {
            let at = first_other(zone, same, ahead);
            return Some(ClockChange { at, before, after: offset(at, zone) });
        }
        same = ahead;
    }
    None
}

/// The last change up to an instant, not longer ago than this and no further than a stride.
pub(super) fn latest_change(zone: Tz, until: Timestamp, within: TimeDelta) -> Option<ClockChange> {
    next_change(zone, until.checked_sub_signed(within.min(STRIDE))?, until)
}

/// The first second that has another offset, where the last has another than the first.
fn first_other(zone: Tz, first: Timestamp, last: Timestamp) -> Timestamp {
    let before = offset(first, zone);
    let (mut same, mut other) = (0, (last - first).num_seconds());
    while other - same > 1 {
        let middle = same + (other - same) / 2;
        if offset(first + TimeDelta::seconds(middle), zone) == before { same = middle } else { other = middle }
    }
    first + TimeDelta::seconds(other)
}
