//! Table of consequences: for each way in which a run and its siblings end, and each setting of the job.

use chrono::DateTime;

use super::*;
use crate::run::{Attempt, RunId};
use crate::server::domain::model::Retry;
use crate::server::domain::model::sample::{self, job};

fn now() -> Timestamp {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

/// A run that is over, or not.
fn run(id: i64, success: Option<bool>) -> Run {
    Run {
        schedule_id: 7,
        schedule_dts: now(),
        came_due: None,
        enqueue_dts: Some(now()),
        start_dts: Some(now()),
        return_dts: success.map(|_| now()),
        return_success: success,
        attempt: Attempt(1),
        ..sample::run(id)
    }
}

fn said(effect: &Effect) -> String {
    match effect {
        Effect::FailTimes(times) => format!("failed {times} times in a row"),
        Effect::Disable => "disabled".to_owned(),
        Effect::Completed(schedule_id) => format!("{schedule_id} is through"),
        Effect::Retry(at, number) => format!("retry {number} in {} s", (*at - now()).num_seconds()),
        Effect::Child(child) => format!("child {child}"),
        Effect::NoChild(child, why) => format!("no child {child}: {why}"),
    }
}

#[test]
fn the_whole_table_is_this() {
    let retries = |times, backoff| Job { retry: Retry { times, backoff }, ..job() };
    let nth = |retry| Run { retry_of: Some((RunId::new(9).unwrap(), retry)), ..run(1, Some(false)) };
    let killed = |exit| Run { exit: Some(exit), ..run(1, Some(false)) };
    let cases = [
        ("success", job(), run(1, Some(true)), vec![]),
        ("success after failures", Job { fail_times: 4, ..job() }, run(1, Some(true)), vec![]),
        ("failure", job(), run(1, Some(false)), vec![]),
        (
            "failure, children all the same",
            Job { schedule_children_on_error: true, ..job() },
            run(1, Some(false)),
            vec![],
        ),
        ("success, without children", job(), Run { schedule_children: false, ..run(1, Some(true)) }, vec![]),
        ("success, a sibling goes on", job(), run(1, Some(true)), vec![run(2, None)]),
        ("success, a sibling succeeded", job(), run(1, Some(true)), vec![run(2, Some(true))]),
        ("success, a sibling failed", job(), run(1, Some(true)), vec![run(2, Some(false))]),
        (
            "success, a sibling failed, children all the same",
            Job { schedule_children_on_error: true, ..job() },
            run(1, Some(true)),
            vec![run(2, Some(false))],
        ),
        (
            "failure as often as allowed",
            Job { fail_times: 1, disable_enqueue_after_fails: Some(2), ..job() },
            run(1, Some(false)),
            vec![],
        ),
        (
            "failure more often than allowed",
            Job { fail_times: 2, disable_enqueue_after_fails: Some(2), ..job() },
            run(1, Some(false)),
            vec![],
        ),
        (
            "failure, never disabled",
            Job { fail_times: 9, disable_enqueue_after_fails: Some(0), ..job() },
            run(1, Some(false)),
            vec![],
        ),
        (
            "failure, disabled already",
            Job { enqueue_is_enabled: false, fail_times: 9, disable_enqueue_after_fails: Some(2), ..job() },
            run(1, Some(false)),
            vec![],
        ),
        ("failure, to be tried again", retries(2, 60), run(1, Some(false)), vec![]),
        ("retry 1 failed", retries(2, 60), nth(1), vec![]),
        ("the last retry failed", retries(2, 60), nth(2), vec![]),
        ("retry 30 failed", retries(99, 60), nth(30), vec![]),
        ("timed out, to be tried again", retries(2, 60), killed(RunExit::TimedOut), vec![]),
        ("lost, to be tried again", retries(2, 0), killed(RunExit::Lost), vec![]),
        ("killed, not tried again", retries(2, 60), killed(RunExit::Killed), vec![]),
    ];
    let child = |id, enabled| Child { job: JobId::new(id).unwrap(), enabled };
    let children = [child(2, true), child(3, false)];
    let mut text = String::new();
    for (name, job, run, siblings) in cases {
        let effects = after(&job, &run, &siblings, &children, now());
        text += &format!("{name}\n    {}\n", effects.iter().map(said).collect::<Vec<_>>().join("; "));
    }
    insta::assert_snapshot!("the_whole_table", text);
}

#[test]
fn a_run_that_is_cancelled_is_no_failure_and_a_retry_that_is_leaves_the_one_before_it() {
    let job = Job { fail_times: 2, disable_enqueue_after_fails: Some(2), ..job() };
    let run = Run { exit: Some(RunExit::Killed), ..run(1, Some(false)) };
    assert_eq!(cancelled(&job, &run, &[], &[]), [Effect::Completed(7)]);
    let retry = Run { retry_of: Some((RunId::new(9).unwrap(), 1)), ..run };
    assert_eq!(cancelled(&job, &retry, &[], &[]), [Effect::FailTimes(3), Effect::Disable, Effect::Completed(7)]);
}
