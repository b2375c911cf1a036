use chrono::{TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::{Excerpt, Summary};
use crate::run::{Attempt, KillId, RunId};
use crate::server::domain::life::late::{LateReason, LateResult};
use crate::server::domain::model::{self, Asker, JobId, KillCause, KillRequest, ProjectId, Run, RunExit, Timestamp};
use crate::server::http::terminal::Terminal;
use crate::server::store::{LateReport, RelatedRun, Requester, RunDetails, RunOverview};

fn now() -> Timestamp {
    Utc.with_ymd_and_hms(2026, 11, 24, 9, 0, 0).unwrap()
}

pub(crate) fn sample() -> RunOverview {
    let run = Run {
        job: JobId::new(3).unwrap(),
        schedule_dts: now(),
        came_due: None,
        enqueue_dts: Some(now()),
        start_dts: Some(now()),
        return_dts: Some(now() + TimeDelta::milliseconds(65_200)),
        return_success: Some(false),
        pid: Some(4711),
        is_manual: true,
        schedule_children: false,
        attempt: Attempt(2),
        losses: 1,
        exit: Some(RunExit::Code(3)),
        ..model::sample::run(12)
    };
    RunOverview { run, title: "backup".to_owned(), worker: Some("web1".to_owned()) }
}

fn late_report() -> LateReport {
    let result = LateResult {
        run: RunId::new(12).unwrap(),
        attempt: Some(Attempt(1)),
        worker: model::WorkerId::new(2).unwrap(),
        reported: now() + TimeDelta::seconds(90),
        returned: Some(now() + TimeDelta::seconds(40)),
        success: Some(false),
        exit: Some(RunExit::Code(7)),
        reason: Some(LateReason::AnotherWorker),
    };
    LateReport { result, worker: Some("web2".to_owned()) }
}

fn details() -> RunDetails {
    let kill = KillRequest {
        id: KillId::new(5).unwrap(),
        run: RunId::new(12).unwrap(),
        worker: None,
        schedule_dts: now(),
        enqueue_dts: None,
        execute_dts: None,
        cause: KillCause::Asked,
    };
    let by = |asker, worker: Option<&str>| Requester { asker, worker: worker.map(str::to_owned) };
    let worker = crate::server::domain::model::WorkerId::new(1).unwrap();
    RunDetails {
        project: (ProjectId::new(1).unwrap(), "Backups".to_owned()),
        pool: "Linux".to_owned(),
        asked_by: Some(by(Asker::Dashboard, None)),
        follows: None,
        kills: vec![(kill, Some(by(Asker::Worker(worker), Some("web2"))))],
        late: vec![late_report()],
        retried: RunId::new(13),
        followed: vec![RelatedRun { run: sample().run, title: "copy away".to_owned() }],
        elsewhere: Vec::new(),
        has_children: true,
    }
}

fn part(run: &RunOverview, details: &RunDetails) -> String {
    let now = now() + TimeDelta::minutes(2);
    Summary { run, waits: None, details, now }.part("F00", Tz::Europe__Amsterdam).to_string()
}

#[test]
fn a_run_that_is_over_looks_like_this() {
    insta::assert_snapshot!(part(&sample(), &details()));
}

#[test]
fn what_can_be_done_about_a_run_depends_on_where_it_stands() {
    let has = |change: fn(&mut Run), text: &str| {
        let mut overview = sample();
        change(&mut overview.run);
        part(&overview, &details()).contains(text)
    };
    let going = |run: &mut Run| (run.return_dts, run.return_success, run.exit) = (None, None, None);
    let scheduled = |run: &mut Run| {
        (run.enqueue_dts, run.start_dts, run.return_dts, run.return_success, run.exit) = (None, None, None, None, None);
    };
    assert!(
        has(going, "Kill run 12")
            && has(going, "Kill requested; the worker has not answered yet")
            && has(going, "process 4711")
    );
    assert!(has(scheduled, "Cancel run 12"));
    assert!(!has(|_| {}, "/kill") && !has(|_| {}, "process 4711"));
    for change in [going, scheduled, |_: &mut Run| {}] {
        assert!(has(change, "Run again") && has(change, "Without children"));
    }
    assert!(!part(&sample(), &RunDetails { has_children: false, ..details() }).contains("Without children"));
}

#[test]
fn how_a_run_came_about_is_said() {
    let details = |change: fn(&mut RunDetails, &mut Run)| {
        let (mut details, mut overview) = (details(), sample());
        (details.asked_by, overview.run.is_manual) = (None, false);
        change(&mut details, &mut overview.run);
        part(&overview, &details)
    };
    assert!(details(|_, _| {}).contains("the schedule"));
    assert!(details(|_, run| run.is_manual = true).contains("a request"));
    assert!(details(|_, run| run.retry_of = Some((RunId::new(9).unwrap(), 2))).contains("as retry 2 of"));
    let followed = |details: &mut RunDetails, _: &mut Run| details.follows = details.followed.pop();
    assert!(details(followed).contains("of copy away"));
    let elsewhere = |details: &mut RunDetails, _: &mut Run| {
        details.elsewhere = vec![(RunId::new(14).unwrap(), "<web3>".to_owned())]
    };
    assert!(details(elsewhere).contains("<a href=\"/runs/14\">&lt;web3&gt; #14</a>"));
    let timed_out = |details: &mut RunDetails, _: &mut Run| details.kills[0].0.cause = KillCause::TimedOut;
    assert!(details(timed_out).contains("because it ran too long"));
}

#[test]
fn what_comes_from_outside_is_escaped() {
    let evil = "<script>alert(1)</script>\"'&";
    let run = RunOverview { title: evil.to_owned(), worker: Some(evil.to_owned()), ..sample() };
    let mut details = RunDetails { pool: evil.to_owned(), ..details() };
    details.project.1 = evil.to_owned();
    details.late[0].worker = Some(evil.to_owned());
    details.followed[0].title = evil.to_owned();
    let (_, row) = Terminal::new(1000).read(format!("{evil}\n").as_bytes());
    let row = row.expect("a line");
    let log = Excerpt { bytes: 10, lines: 1, first: 0, rows: vec![row] };
    let page = Summary { run: &run, waits: None, details: &details, now: now() }.page(&log, "F00", Tz::UTC).to_string();
    assert!(!page.contains("<script>"), "{page}");
    assert!(page.matches("&lt;script&gt;alert(1)").count() >= 7, "{page}");
    assert!(!page.contains(" style=") && !page.contains(" onclick"), "nothing inline: {page}");
}
