use chrono::{TimeZone, Utc};

use super::{run, state};
use crate::run::{Attempt, RunId};
use crate::server::domain::model::{self, JobId, Run, RunExit};
use crate::server::store::RunOverview;
use crate::wire::operator::RunStateName;

fn sample() -> Run {
    Run {
        job: JobId::new(3).unwrap(),
        schedule_dts: Utc.with_ymd_and_hms(2026, 11, 24, 9, 0, 0).unwrap(),
        is_manual: true,
        retry_of: Some((RunId::new(11).unwrap(), 1)),
        ..model::sample::run(12)
    }
}

#[test]
fn a_state_is_one_word() {
    let at = Some(sample().schedule_dts);
    let claimed = Run { enqueue_dts: at, ..sample() };
    let started = Run { start_dts: at, ..claimed.clone() };
    let over = |success, exit| Run { return_dts: at, return_success: Some(success), exit, ..started.clone() };
    for (run, expected) in [
        (sample(), RunStateName::Scheduled),
        (claimed.clone(), RunStateName::Claimed),
        (started.clone(), RunStateName::Running),
        (over(true, None), RunStateName::Succeeded),
        (over(true, Some(RunExit::Code(0))), RunStateName::Succeeded),
        (over(false, None), RunStateName::Failed),
        (over(false, Some(RunExit::Code(3))), RunStateName::Failed),
        (over(false, Some(RunExit::Signal(9))), RunStateName::Failed),
        (over(false, Some(RunExit::TimedOut)), RunStateName::TimedOut),
        (over(false, Some(RunExit::Killed)), RunStateName::Killed),
        (over(false, Some(RunExit::Lost)), RunStateName::Lost),
    ] {
        assert_eq!(state(&run), expected, "{run:?}");
        assert_eq!(state(&run).is_over(), run.return_dts.is_some());
        // The word in the text is the one in JSON.
        assert_eq!(serde_json::to_value(expected).unwrap(), expected.word());
    }
}

#[test]
fn a_run_looks_like_this() {
    let at = Some(Utc.with_ymd_and_hms(2026, 11, 24, 9, 0, 1).unwrap());
    let over = Run {
        enqueue_dts: at,
        start_dts: at,
        return_dts: at,
        return_success: Some(false),
        exit: Some(RunExit::Signal(11)),
        attempt: Attempt(2),
        ..sample()
    };
    let overview = RunOverview { run: over, title: "hello".to_owned(), worker: Some("web1".to_owned()) };
    insta::assert_snapshot!(serde_json::to_string_pretty(&run(&overview, None)).unwrap(), @r#"
    {
      "id": 12,
      "job": 3,
      "title": "hello",
      "state": "failed",
      "due": "2026-11-24T09:00:00.000Z",
      "claimed": "2026-11-24T09:00:01.000Z",
      "started": "2026-11-24T09:00:01.000Z",
      "ended": "2026-11-24T09:00:01.000Z",
      "worker": "web1",
      "exit_code": null,
      "exit_signal": 11,
      "attempt": 2,
      "retry_of": 11,
      "manual": true,
      "waits": null
    }
    "#);
}
