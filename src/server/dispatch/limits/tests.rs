use chrono::{DateTime, TimeDelta, Utc};

use super::*;

fn wall() -> DateTime<Utc> {
    "2026-11-30T12:00:00Z".parse().expect("a time")
}

fn run(heard: Option<TimeDelta>, limit: Option<u64>) -> StartedRun {
    StartedRun {
        run: RunId::new(7).expect("an id"),
        job: JobId::new(3).expect("an id"),
        attempt: Attempt(1),
        heard: heard.map(|ago| wall() - ago),
        limit: limit.map(Duration::from_secs),
    }
}

/// Returns the seconds from `now` until the next run exceeds its limit.
fn left(limits: &RunLimits, now: Instant) -> Option<u64> {
    limits.next().map(|end| end.saturating_duration_since(now).as_secs())
}

#[test]
fn a_start_that_is_told_just_now_counts_from_now_whatever_the_clocks_say() {
    let now = Instant::now();
    for heard in [None, Some(TimeDelta::hours(3)), Some(-TimeDelta::hours(3))] {
        let mut limits = RunLimits::new();
        limits.note(&run(heard, Some(20)), LimitOrigin::ByNews, now);
        assert_eq!(left(&limits, now), Some(20));
    }
}

#[test]
fn after_a_restart_the_servers_own_receipt_of_the_start_counts() {
    let now = Instant::now();
    let table = [
        (Some(TimeDelta::seconds(5)), 15),
        (Some(TimeDelta::hours(3)), 0),
        // The clock was set back while the server was away, or an earlier version kept no receipt: never too early.
        (Some(-TimeDelta::hours(3)), 20),
        (None, 20),
    ];
    for (heard, expected) in table {
        let mut limits = RunLimits::new();
        limits.note(&run(heard, Some(20)), LimitOrigin::InStore(wall()), now);
        assert_eq!(left(&limits, now), Some(expected), "{heard:?}");
    }
}

#[test]
fn what_is_known_of_a_run_is_not_reckoned_anew_when_everything_is_read_again() {
    let now = Instant::now();
    let mut limits = RunLimits::new();
    limits.note(&run(Some(TimeDelta::zero()), Some(20)), LimitOrigin::ByNews, now);
    // The wall clock was set a day forward, then a day back.
    for jump in [TimeDelta::days(1), -TimeDelta::days(1)] {
        limits.note(
            &run(Some(TimeDelta::zero()), Some(20)),
            LimitOrigin::InStore(wall() + jump),
            now + Duration::from_secs(4),
        );
        assert_eq!(left(&limits, now), Some(20));
    }
}

#[test]
fn a_limit_that_is_changed_counts_from_the_start() {
    let now = Instant::now();
    let mut limits = RunLimits::new();
    limits.note(&run(None, None), LimitOrigin::ByNews, now);
    assert_eq!(limits.next(), None);
    let later = now + Duration::from_secs(8);
    for (limit, expected) in [(Some(10), Some(2)), (Some(60), Some(52)), (Some(3), Some(0)), (None, None)] {
        limits.note(&run(None, limit), LimitOrigin::InStore(wall()), later);
        assert_eq!(left(&limits, later), expected, "{limit:?}");
    }
}

#[test]
fn the_next_attempt_begins_anew_and_what_is_over_has_no_limit() {
    let now = Instant::now();
    let mut limits = RunLimits::new();
    limits.note(&run(None, Some(20)), LimitOrigin::ByNews, now);
    let later = now + Duration::from_secs(15);
    let again = StartedRun { attempt: Attempt(2), ..run(None, Some(20)) };
    limits.note(&again, LimitOrigin::ByNews, later);
    assert_eq!(left(&limits, later), Some(20));
    let end = later + Duration::from_secs(20);
    assert_eq!((limits.due(end), limits.due(end)), (Some(again.run), Some(again.run)));
    limits.timed_out(again.run);
    assert_eq!((limits.due(end), limits.has_job(again.job)), (None, true));
    limits.note(&again, LimitOrigin::ByNews, later);
    limits.end(again.run);
    assert_eq!((limits.next(), limits.has_job(again.job)), (None, false));
}

#[test]
fn a_run_whose_end_was_not_told_has_no_limit() {
    let now = Instant::now();
    let mut limits = RunLimits::new();
    let run = run(None, Some(20));
    limits.note(&run, LimitOrigin::ByNews, now);
    limits.keep(&BTreeSet::from([run.run]));
    assert_eq!(left(&limits, now), Some(20));
    limits.keep(&BTreeSet::new());
    assert_eq!((limits.next(), limits.has_job(run.job)), (None, false));
}
