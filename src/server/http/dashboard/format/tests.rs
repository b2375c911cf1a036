use chrono::{TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::{duration, exit, median, short_time, time};
use crate::server::domain::model::RunExit;

#[test]
fn a_time_is_written_in_a_zone_and_marked_for_another() {
    let at = Utc.with_ymd_and_hms(2026, 11, 24, 9, 0, 5).unwrap();
    insta::assert_snapshot!(time(at, Tz::Europe__Amsterdam), @r#"<time datetime="2026-11-24T09:00:05.000Z" title="2026-11-24 09:00:05 UTC">2026-11-24 10:00:05</time>"#);
    insta::assert_snapshot!(short_time(at, at, Tz::Europe__Amsterdam), @r#"<time datetime="2026-11-24T09:00:05.000Z" data-short title="2026-11-24 09:00:05 UTC">10:00:05</time>"#);
    // Already the next day in Amsterdam, though not in UTC.
    let late = Utc.with_ymd_and_hms(2026, 11, 24, 23, 30, 0).unwrap();
    assert!(short_time(late, at, Tz::Europe__Amsterdam).to_string().contains(">25 Nov 00:30<"));
    assert!(short_time(late, at, Tz::UTC).to_string().contains(">23:30:00<"));
}

#[test]
fn durations_are_as_exact_as_they_need_to_be() {
    for (millis, shown) in [
        (-5, "0.0 s"),
        (1_250, "1.2 s"),
        (59_999, "59 s"),
        (65_200, "1 min 5 s"),
        (3_600_000, "1 h 0 min"),
        (90_000_000, "1 d 1 h"),
    ] {
        assert_eq!(duration(TimeDelta::milliseconds(millis)), shown);
    }
}

#[test]
fn an_end_is_told_where_the_state_does_not() {
    assert_eq!(exit(Some(RunExit::Code(3))).as_deref(), Some("exit code 3"));
    assert_eq!(exit(Some(RunExit::Signal(9))).as_deref(), Some("signal 9"));
    for silent in [None, Some(RunExit::Code(0)), Some(RunExit::Killed), Some(RunExit::Lost), Some(RunExit::TimedOut)] {
        assert_eq!(exit(silent), None);
    }
}

#[test]
fn the_median_stands_in_the_middle() {
    let seconds = |all: &[i64]| median(all.iter().copied().map(TimeDelta::seconds).collect());
    assert_eq!(seconds(&[]), None);
    assert_eq!(seconds(&[7]), Some(TimeDelta::seconds(7)));
    assert_eq!(seconds(&[9, 1]), Some(TimeDelta::seconds(5)));
    assert_eq!(seconds(&[100, 3, 1]), Some(TimeDelta::seconds(3)));
}
