//! The oracle of the campaign of a fleet: what it measures, and that each of its complaints can be made.

#[path = "../campaign/fleet/oracle.rs"]
mod judge;

use std::collections::BTreeMap;

use judge::{Aftermath, Begun, Distribution, Span, accepted_twice, aftermath, begun, late, overlapping};

use crate::oracle::history::{Mark, Says};

const BEGIN: Says = Says::Begin { shim: 50 };
const END: Says = Says::End { code: 0 };

fn mark(run: i64, says: Says, at: f64) -> Mark {
    Mark { says, run, attempt: 1, at }
}

fn run(run: i64, due: f64, begun: f64) -> Begun {
    Begun { run, due, begun, is_by_schedule: true }
}

#[test]
fn a_run_begins_with_its_first_execution() {
    let due: BTreeMap<i64, (f64, bool)> = [(1, (10.0, true)), (2, (11.0, false)), (3, (12.0, true))].into();
    let marks =
        [mark(1, BEGIN, 10.5), mark(2, BEGIN, 11.5), mark(2, END, 11.6), mark(2, BEGIN, 13.0), mark(9, BEGIN, 14.0)];
    let by_hand = Begun { is_by_schedule: false, ..run(2, 11.0, 11.5) };
    // Run 3 has not begun, and nothing is known of run 9.
    assert_eq!(begun(&due, &marks), [run(1, 10.0, 10.5), by_hand]);
}

#[test]
fn a_run_is_late_that_begins_more_than_ten_seconds_after_it_was_due() {
    assert_eq!(late(&[run(1, 0.0, 9.9)], &[], 10.0), Vec::<String>::new());
    assert_eq!(late(&[run(1, 0.0, 10.1)], &[], 10.0), ["run 1 began 10.10 s after it was due at 0.000"]);
}

#[test]
fn the_time_without_a_database_does_not_count_as_lateness() {
    let away = [Span { from: 100.0, to: 130.0 }, Span { from: 200.0, to: 205.0 }];
    let table = [
        // Before, across the beginning, within, across all, behind it.
        (50.0, 51.0, 1.0),
        (99.0, 131.0, 2.0),
        (110.0, 133.0, 3.0),
        (99.0, 207.0, 73.0),
        (131.0, 140.5, 9.5),
    ];
    for (due, begun, lateness) in table {
        assert!((run(1, due, begun).lateness(&away) - lateness).abs() < 1e-9, "{due} {begun}");
    }
}

#[test]
fn an_execution_beside_another_of_its_run_is_found() {
    let one_behind_the_other = [mark(1, BEGIN, 0.0), mark(1, END, 1.0), mark(1, BEGIN, 2.0), mark(2, BEGIN, 2.5)];
    assert!(overlapping(&one_behind_the_other).is_empty());
    let beside = [mark(1, BEGIN, 0.0), mark(2, BEGIN, 0.5), mark(1, BEGIN, 1.0), mark(1, END, 2.0)];
    assert_eq!(overlapping(&beside).into_iter().collect::<Vec<_>>(), [1]);
}

#[test]
fn a_hand_over_that_made_two_runs_is_found() {
    assert!(accepted_twice(["a", "b"].into_iter()).is_empty());
    assert_eq!(accepted_twice(["a", "b", "a", "a"].into_iter()).into_iter().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn after_a_kill_the_first_time_that_was_due_counts_with_all_its_runs() {
    let runs = [
        // Due before the kill, and begun behind it.
        run(1, 99.0, 104.0),
        // By hand.
        Begun { is_by_schedule: false, ..run(2, 100.5, 102.0) },
        run(3, 101.0, 103.0),
        run(4, 101.0, 103.5),
        run(5, 102.0, 107.0),
        // Behind the next kill.
        run(6, 111.0, 150.0),
    ];
    let kill = Span { from: 100.0, to: 110.0 };
    let expected = Aftermath { next_begin: 2.0, next_due_late: 2.5, most_late: 5.0 };
    assert_eq!(aftermath(&runs, kill), Some(expected));
    assert_eq!(aftermath(&runs, Span { from: 120.0, to: 130.0 }), None, "nothing was due");
}

#[test]
fn a_distribution_has_the_value_that_so_many_of_a_hundred_do_not_exceed() {
    assert_eq!(Distribution::of([].into_iter()), None);
    let of = |count: i32| Distribution::of((1..=count).rev().map(f64::from));
    assert_eq!(of(1), Some(Distribution { count: 1, p50: 1.0, p99: 1.0, max: 1.0 }));
    assert_eq!(of(200), Some(Distribution { count: 200, p50: 100.0, p99: 198.0, max: 200.0 }));
}
