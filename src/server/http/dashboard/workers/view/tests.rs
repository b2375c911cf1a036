use chrono::TimeDelta;
use chrono_tz::Tz;

use super::{RequestSummary, WorkersPage, body, outcome_notice, parts};
use crate::run::{Pace, RequestId, WorkerCommand, WorkerRequest};
use crate::server::domain::model::{LatestRequest, Pool, PoolId, Worker, WorkerId};
use crate::server::domain::title::Title;
use crate::server::domain::worker_state::{CommandRefusal, RequestVerdict};
use crate::server::http::dashboard::form::FormValues;
use crate::server::http::dashboard::job::sample;
use crate::server::http::dashboard::workers::sample::{now, worker};
use crate::server::store::RunOverview;

fn asked(reason: &str) -> LatestRequest {
    LatestRequest {
        request: WorkerRequest { id: RequestId::new(7).unwrap(), action: WorkerCommand::Sleep, pace: Pace::AfterRuns },
        by: "operator".to_owned(),
        reason: reason.to_owned(),
        at: now(),
        sent: Some(now()),
        heard: Some(now()),
        over: None,
    }
}

fn page() -> WorkersPage {
    let run = crate::server::domain::model::Run { worker: WorkerId::new(1), return_dts: None, ..sample::run() };
    let pool = Pool {
        id: PoolId::new(1).unwrap(),
        title: Title::fixed("default"),
        description: String::new(),
        enqueue_is_enabled: true,
        notification_addresses: String::new(),
    };
    let original = |worker: &mut Worker| (worker.report, worker.heard_dts) = (None, None);
    WorkersPage {
        unlisted: 0,
        workers: vec![
            worker(1, "web1", |worker| worker.asked = Some(asked("a new disk"))),
            worker(2, "The old one", original),
            worker(3, "web3", |worker| {
                worker.heard_dts = Some(now() - TimeDelta::hours(1));
                worker.clock_ahead = Some(TimeDelta::hours(-3));
            }),
        ],
        pools: vec![(pool, [1, 2, 3].into_iter().filter_map(WorkerId::new).collect())],
        runs: vec![RunOverview { run, title: "backup".to_owned(), worker: Some("web1".to_owned()) }],
        silent: WorkerId::new(3).into_iter().collect(),
        now: now(),
    }
}

#[test]
fn workers_look_like_this() {
    insta::assert_snapshot!(body(&page(), &FormValues::default(), "F00", Tz::UTC));
}

#[test]
fn where_there_is_nobody_there_is_nothing_to_ask() {
    let nobody = WorkersPage { workers: Vec::new(), pools: Vec::new(), runs: Vec::new(), ..page() };
    let page = body(&nobody, &FormValues::default(), "F00", Tz::UTC).to_string();
    assert!(page.contains("no workers yet") && page.contains("no pools yet") && !page.contains("Choose an action"));
}

#[test]
fn what_comes_from_outside_is_escaped() {
    let evil = "<script>alert(1)</script>\"'&";
    let mut page = page();
    let first = &mut page.workers[0];
    (first.worker.title, first.worker.worker_version) = (Title::stored(evil.to_owned()), Some(evil.to_owned()));
    first.worker.asked = Some(asked(evil));
    first.pools = vec![evil.to_owned()];
    page.pools[0].0.title = Title::stored(evil.to_owned());
    page.runs[0].title = evil.to_owned();
    let page = parts(&page, &FormValues::default(), Tz::UTC).map(|part| part.to_string()).concat();
    assert!(!page.contains("<script>alert") && !page.contains("s3cr3t"), "{page}");
    assert!(page.matches("&lt;script&gt;alert(1)").count() >= 7, "{page}");
}

#[test]
fn what_became_of_a_wish_is_told_of_each() {
    let one = |title: &str, outcome| RequestSummary { title: title.to_owned(), outcome };
    let both = [one("web1", Ok(RequestVerdict::Ask)), one("web2", Ok(RequestVerdict::Ask))];
    let done = outcome_notice(&both, WorkerCommand::Sleep);
    assert_eq!((done.good, done.text.as_str()), (true, "Requested of web1, web2: sleep."));
    let mixed = [
        one("web1", Ok(RequestVerdict::Already)),
        one("web2", Ok(RequestVerdict::Cancel)),
        one("web3", Err(CommandRefusal::NoRestart)),
    ];
    let told_of = outcome_notice(&mixed, WorkerCommand::Restart);
    assert!(!told_of.good);
    insta::assert_snapshot!(told_of.text, @"Cancelled before web2 received it. Already so, or already requested: web1. Worker web3 cannot restart: restart_exit_code is not set there.");
    assert!(!outcome_notice(&[], WorkerCommand::Wake).good);
}
