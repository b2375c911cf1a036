use std::collections::HashMap;

use chrono::{TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::{Lane, LaneFilter, render};
use crate::run::{Attempt, RunId};
use crate::server::domain::model::sample;
use crate::server::domain::model::{JobId, Run, RunExit, RunState, Timestamp};
use crate::server::store::{LaneRun, Mark, RunOverview};

fn now() -> Timestamp {
    Utc.with_ymd_and_hms(2026, 11, 24, 9, 0, 0).unwrap()
}

fn job() -> JobId {
    JobId::new(3).unwrap()
}

/// A run that began a minute ago.
fn going() -> LaneRun {
    let at = now() - TimeDelta::seconds(60);
    let run = Run {
        job: job(),
        schedule_dts: at,
        came_due: None,
        enqueue_dts: Some(at),
        start_dts: Some(at),
        is_manual: true,
        attempt: Attempt(2),
        retry_of: Some((RunId::new(11).unwrap(), 1)),
        ..sample::run(12)
    };
    let overview = RunOverview { run, title: "backup".to_owned(), worker: Some("web1".to_owned()) };
    let mark = Mark { at: overview.run.schedule_dts, run: overview.run.id };
    LaneRun { run: overview, project: "Backups".to_owned(), mark }
}

fn over() -> LaneRun {
    let LaneRun { run: overview, project, mark } = going();
    let run = Run {
        return_dts: Some(now()),
        return_success: Some(false),
        exit: Some(RunExit::Code(3)),
        is_manual: false,
        retry_of: None,
        attempt: Attempt(1),
        ..overview.run
    };
    let mark = Mark { at: run.return_dts.expect("an end"), ..mark };
    LaneRun { run: RunOverview { run, ..overview }, project, mark }
}

fn lane(state: RunState, runs: Vec<LaneRun>) -> Lane {
    Lane {
        state,
        runs,
        has_more: false,
        length: 1,
        waits: HashMap::new(),
        usual: HashMap::from([(job(), TimeDelta::seconds(90))]),
    }
}

fn shown(lane: &Lane, query: &str) -> String {
    render(lane, &LaneFilter::parse(query, None), now(), Tz::UTC).to_string()
}

#[test]
fn runs_that_go_on_look_like_this() {
    insta::assert_snapshot!(shown(&lane(RunState::Started, vec![going()]), ""));
}

#[test]
fn runs_that_are_over_look_like_this() {
    let lane = Lane { has_more: true, length: 1000, ..lane(RunState::Completed, vec![over()]) };
    insta::assert_snapshot!(shown(&lane, "state=failed&after=1.2"));
}

#[test]
fn a_run_that_takes_longer_than_usual_is_marked() {
    let mut late = lane(RunState::Started, vec![going()]);
    assert!(!shown(&late, "").contains("late"));
    late.usual.insert(job(), TimeDelta::seconds(59));
    assert!(shown(&late, "").contains("late"));
    late.usual.clear();
    assert!(!shown(&late, "").contains("<progress"));
}

#[test]
fn what_comes_from_outside_is_escaped() {
    let evil = "<script>alert(1)</script>\"'&";
    let LaneRun { run, mark, .. } = going();
    let run = RunOverview { title: evil.to_owned(), worker: Some(evil.to_owned()), ..run };
    let page = shown(&lane(RunState::Started, vec![LaneRun { run, project: evil.to_owned(), mark }]), "q=%3Cscript%3E");
    assert!(!page.contains("<script>"), "{page}");
    assert_eq!(page.matches("&lt;script&gt;alert(1)").count(), 3, "{page}");
}
