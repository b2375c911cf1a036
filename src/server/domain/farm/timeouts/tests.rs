use chrono::{TimeDelta, TimeZone as _, Utc};

use super::*;

fn at(seconds: i64) -> Timestamp {
    Utc.timestamp_opt(1_700_000_000 + seconds, 0).unwrap()
}

fn times() -> FarmTimes {
    FarmTimes {
        worker_silence: Duration::from_secs(60),
        task_silence: Duration::from_secs(600),
        first_check: Duration::from_secs(300),
        task_age: Some(Duration::from_secs(86_400)),
    }
}

#[test]
fn silence_counts_from_the_last_sign_of_life() {
    let cutoffs = times().cutoffs(at(0));
    assert_eq!((cutoffs.worker, cutoffs.task, cutoffs.remove), (at(-60), at(-600), Some(at(-86_400))));
    let forever = FarmTimes { task_age: None, ..times() };
    assert_eq!(forever.cutoffs(at(0)).remove, None);
}

#[test]
fn the_next_look_is_when_the_next_time_out_is_due() {
    let pause = |worker: Option<i64>, task: Option<i64>| times().pause(at(0), worker.map(at), task.map(at));
    for (worker, task, seconds) in [
        (None, None, 60),
        (Some(0), None, 60),
        (Some(-50), None, 10),
        (Some(-50), Some(-595), 5),
        (Some(-61), None, 1),
        (None, Some(0), 60),
        (Some(1000), None, 60),
    ] {
        assert_eq!(pause(worker, task), Duration::from_secs(seconds), "{worker:?} {task:?}");
    }
    let long_ago = at(0) - TimeDelta::days(400);
    assert_eq!(times().pause(at(0), Some(long_ago), None), SHORTEST_PAUSE);
}

#[test]
fn no_worker_that_works_is_removed() {
    let removed = FarmWorkerStatus::ALL
        .map(FarmWorkerStatus::word)
        .into_iter()
        .filter(|word| WorkerCleanup::status(word).is_some());
    assert_eq!(removed.collect::<Vec<_>>(), ["asleep", "error", "timeout", "offline"]);
}
