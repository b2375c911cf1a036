use chrono::{TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::{WIDTH, phases, timeline, widths};
use crate::server::domain::model::{Run, Timestamp};
use crate::server::http::dashboard::run::summary::sample;

fn at(seconds: i64) -> Timestamp {
    Utc.with_ymd_and_hms(2026, 11, 24, 9, 0, 0).unwrap() + TimeDelta::seconds(seconds)
}

fn run(enqueue: Option<i64>, start: Option<i64>, end: Option<i64>) -> Run {
    let (enqueue_dts, start_dts, return_dts) = (enqueue.map(at), start.map(at), end.map(at));
    Run { schedule_dts: at(0), enqueue_dts, start_dts, return_dts, ..sample().run }
}

fn told(run: &Run) -> String {
    timeline(run, at(100), Tz::UTC).get_attr("text").unwrap().to_string()
}

#[test]
fn a_course_is_told_as_far_as_it_has_come() {
    for (run, expected) in [
        (run(None, None, None), "waited 1 min 40 s so far"),
        (run(Some(3), None, None), "waited 3.0 s, in queue 1 min 37 s so far"),
        (run(Some(3), Some(5), None), "waited 3.0 s, in queue 2.0 s, ran 1 min 35 s so far"),
        (run(Some(3), Some(5), Some(70)), "waited 3.0 s, in queue 2.0 s, ran 1 min 5 s"),
        // Cancelled before it was claimed; given back before it started; times of clocks that differ.
        (run(None, None, Some(7)), "waited 7.0 s"),
        (run(Some(3), None, Some(9)), "waited 3.0 s, in queue 6.0 s"),
        (run(Some(-3), Some(-5), Some(1)), "waited 0.0 s, in queue 0.0 s, ran 6.0 s"),
    ] {
        assert_eq!(told(&run), expected);
    }
}

#[test]
fn a_run_that_is_not_due_yet_says_when() {
    let run = Run { schedule_dts: at(200), ..run(None, None, None) };
    assert_eq!(
        timeline(&run, at(100), Tz::UTC).get_attr("coming").unwrap().to_string().split_once('>').unwrap().1,
        "due in 1 min 40 s</span>"
    );
    assert_eq!(phases(&run).len(), 1);
}

#[test]
fn every_part_is_seen_and_all_fit() {
    for spans in [&[0, 0, 0][..], &[1, 1, 1_000_000_000], &[5], &[i64::MAX / 4000, 1]] {
        let widths = widths(&spans.iter().map(|s| TimeDelta::milliseconds(*s)).collect::<Vec<_>>());
        assert!(widths.iter().all(|width| *width >= 12), "{widths:?}");
        assert!(widths.iter().sum::<i64>() <= WIDTH, "{widths:?}");
    }
}
