//! Conversion between the local time of a zone and timestamps, with the changes of the clock.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use crate::server::domain::timestamp::Timestamp;

/// Longest stretch that a clock ever skipped, in minutes: when a zone changed its side of the date line.
const LONGEST_GAP: i64 = 24 * 60 + 1;

/// A local time and the timestamp at which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WallMoment {
    /// Local time that was asked for.
    pub wall: NaiveDateTime,
    /// Time at which it happens; where the clock skips it, the time at which the clock goes on.
    pub at: Timestamp,
}

/// Returns the local time that a zone shows at a timestamp.
pub(super) fn shown(at: Timestamp, zone: Tz) -> NaiveDateTime {
    at.with_timezone(&zone).naive_local()
}

/// Returns how far local time is ahead of UTC at a timestamp.
pub(super) fn offset(at: Timestamp, zone: Tz) -> TimeDelta {
    TimeDelta::seconds(i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()))
}

/// Returns the first timestamp after `after` at which a zone shows a local time.
///
/// Of a time that is shown twice, the first occurrence counts if it is after `after`. For a time that is skipped, it is
/// the timestamp at which the clock goes on.
pub(super) fn moment(wall: NaiveDateTime, zone: Tz, after: Timestamp) -> Option<WallMoment> {
    let utc = |at: DateTime<Tz>| at.with_timezone(&Utc);
    let at = match zone.from_local_datetime(&wall) {
        MappedLocalTime::Single(at) => utc(at),
        MappedLocalTime::Ambiguous(first, second) => Some(utc(first)).filter(|at| *at > after).unwrap_or(utc(second)),
        MappedLocalTime::None => utc(end_of_gap(wall, zone)?),
    };
    Some(WallMoment { wall, at })
}

/// Returns the first time that is shown after a skipped one. Clocks change at whole minutes.
fn end_of_gap(wall: NaiveDateTime, zone: Tz) -> Option<DateTime<Tz>> {
    let minute = wall.with_second(0)?.with_nanosecond(0)?;
    (1..=LONGEST_GAP)
        .find_map(|more| zone.from_local_datetime(&minute.checked_add_signed(TimeDelta::minutes(more))?).earliest())
}

/// Stride of the search for a clock change. No clock was changed twice within it.
const STRIDE: TimeDelta = TimeDelta::hours(12);

/// Change of a zone's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClockChange {
    /// First timestamp of the new offset.
    pub at: Timestamp,
    /// Offset from UTC before the change.
    pub before: TimeDelta,
    /// Offset from UTC from the change on.
    pub after: TimeDelta,
}

impl ClockChange {
    /// Returns by how much the clock goes forward; negative where it is set back.
    pub(super) fn by(self) -> TimeDelta {
        self.after - self.before
    }

    /// Returns the local time at the change by the old offset.
    pub(super) fn before_it(self) -> NaiveDateTime {
        self.at.naive_utc() + self.before
    }

    /// Returns the local time at the change by the new offset.
    pub(super) fn after_it(self) -> NaiveDateTime {
        self.at.naive_utc() + self.after
    }
}

/// Returns the first clock change after a timestamp, up to and including `until`.
pub(super) fn next_change(zone: Tz, after: Timestamp, until: Timestamp) -> Option<ClockChange> {
    let before = offset(after, zone);
    let mut same = after;
    while same < until {
        let ahead = same.checked_add_signed(STRIDE)?.min(until);
        // Comparing both ends of a stride is enough, because no clock changes twice within it.
        if offset(ahead, zone) != before {
            let at = first_other(zone, same, ahead);
            return Some(ClockChange { at, before, after: offset(at, zone) });
        }
        same = ahead;
    }
    None
}

/// Returns the last clock change up to and including `until`, at most `within` and one stride ago.
pub(super) fn latest_change(zone: Tz, until: Timestamp, within: TimeDelta) -> Option<ClockChange> {
    next_change(zone, until.checked_sub_signed(within.min(STRIDE))?, until)
}

/// Returns the first second with another offset, by bisection; the offset of `last` differs from that of `first`.
fn first_other(zone: Tz, first: Timestamp, last: Timestamp) -> Timestamp {
    let before = offset(first, zone);
    let (mut same, mut other) = (0, (last - first).num_seconds());
    while other - same > 1 {
        let middle = same + (other - same) / 2;
        if offset(first + TimeDelta::seconds(middle), zone) == before { same = middle } else { other = middle }
    }
    first + TimeDelta::seconds(other)
}
