use chrono::{TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::{body, summary};
use crate::run::{Attempt, RunId};
use crate::server::model::{JobId, Run, RunExit};
use crate::server::store::RunOverview;

fn sample() -> RunOverview {
    let at = Utc.with_ymd_and_hms(2026, 11, 24, 9, 0, 0).unwrap();
    let run = Run {
        id: RunId::new(12).unwrap(),
        job: JobId::new(3).unwrap(),
        schedule_id: 12,
        worker: None,
        pinned: false,
        schedule_dts: at,
        enqueue_dts: Some(at),
        start_dts: Some(at),
        return_dts: Some(at + TimeDelta::milliseconds(65_200)),
        return_success: Some(false),
        pid: None,
        is_manual: true,
        schedule_children: true,
        attempt: Attempt(2),
        losses: 0,
        retry_of: Some((RunId::new(11).unwrap(), 1)),
        exit: Some(RunExit::Code(3)),
    };
    RunOverview { run, title: "backup".to_owned(), worker: Some("web1".to_owned()) }
}

#[test]
fn a_run_looks_like_this() {
    insta::assert_snapshot!(summary(&sample(), "F00", Tz::Europe__Amsterdam));
}

#[test]
fn what_comes_from_outside_is_escaped() {
    let evil = "<script>alert(1)</script>\"'&";
    let overview = RunOverview { title: evil.to_owned(), worker: Some(evil.to_owned()), ..sample() };
    let page = body(&overview, "F00", Tz::UTC).to_string();
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
}
