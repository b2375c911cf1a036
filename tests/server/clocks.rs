//! Wrong clocks, of workers and of the server: no duration depends on them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use jobrunner::run::RunId;
use jobrunner::server::domain::life::Patch;
use jobrunner::server::domain::model::{self, Asker, Job, Run};
use jobrunner::server::domain::title::Title;
use jobrunner::server::http::operator;
use jobrunner::server::store::changes::Change;
use jobrunner::server::store::{AnswerKind, NewRun, WorkerAnswer};
use jobrunner::wire::operator::WorkerStateName;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::database::{self, Session};
use crate::http::ask;
use crate::port;
use crate::service::Service;
use crate::skip::skip;
use crate::stage::{Stage, made, returned};
use crate::wait::until;
use crate::worker_process::{Make, Place, start_worker};

/// A run of a job with a limit, claimed and started by a worker whose clock is ahead of ours by so much.
async fn started(stage: &Stage, job: &Job, ahead: TimeDelta) -> Run {
    let run = stage.due(job).await;
    let at = Some(Some(Utc::now() + ahead));
    let claim = Patch { enqueue_dts: at, worker: Some(stage.worker(0)), ..Patch::default() };
    made(stage.change(0, run.id, claim).await);
    made(stage.change(0, run.id, Patch { start_dts: at, ..Patch::default() }).await);
    run
}

async fn limited(stage: &Stage, title: &str, seconds: u32) -> Job {
    stage.job(|job| (job.title, job.run_timeout) = (Title::new(title).expect("a title"), Some(seconds))).await
}

/// Requests to end a run.
fn kills(stage: &Stage, run: RunId) -> i64 {
    stage.ask("SELECT count(*) FROM kill_request WHERE run = ?", run)
}

async fn timed_out(stage: &Stage, run: RunId) {
    let is_asked = async |_: &_| (kills(stage, run) > 0).then_some(());
    stage.until("its end is asked for", is_asked).await;
}

#[tokio::test]
async fn a_time_limit_counts_from_the_start_whatever_the_workers_clock_says() {
    let stage = Stage::start(1).await;
    for (number, ahead) in [TimeDelta::hours(-3), TimeDelta::seconds(-15), TimeDelta::hours(3)].into_iter().enumerate()
    {
        let job = limited(&stage, &format!("job{number}"), 2).await;
        let begun = Instant::now();
        let run = started(&stage, &job, ahead).await;
        timed_out(&stage, run.id).await;
        let took = begun.elapsed();
        assert!((Duration::from_secs(2)..Duration::from_secs(15)).contains(&took), "{ahead}: after {took:?}");
    }
    stage.fixture.stop().await;
}

#[tokio::test]
async fn after_a_restart_of_the_server_a_run_is_not_ended_early_by_its_workers_clock() {
    let stage = Stage::start(1).await;
    let (long, short) = (limited(&stage, "long", 600).await, limited(&stage, "short", 2).await);
    let behind = started(&stage, &long, TimeDelta::hours(-3)).await;
    let ahead = started(&stage, &short, TimeDelta::hours(3)).await;
    let stage = stage.restart().await;
    // Both limits are set in one pass.
    timed_out(&stage, ahead.id).await;
    assert_eq!(kills(&stage, behind.id), 0);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_time_limit_that_is_changed_counts_for_what_runs_already() {
    let stage = Stage::start(1).await;
    let job = limited(&stage, "job", 600).await;
    let run = started(&stage, &job, TimeDelta::zero()).await;
    stage.change_job(&job, "UPDATE job SET run_timeout = 1 WHERE id = ?").await;
    timed_out(&stage, run.id).await;
    let other = limited(&stage, "without", 1).await;
    stage.change_job(&other, "UPDATE job SET run_timeout = NULL WHERE id = ?").await;
    let unlimited = started(&stage, &other, TimeDelta::zero()).await;
    stage.change_job(&other, "UPDATE job SET run_timeout = 1 WHERE id = ?").await;
    timed_out(&stage, unlimited.id).await;
    stage.fixture.stop().await;
}

#[tokio::test]
async fn setting_the_servers_clock_makes_no_worker_lost() {
    let stage = Stage::start(1).await;
    stage.answer(0, 4).await;
    // As if the clock had been set a day forward since it answered.
    let back = "UPDATE worker SET heard = heard - 86400000000, ping_response_dts = ping_response_dts - 86400000000";
    stage.write(|session| session.execute(back, [])).await;
    let (id, app) = (stage.worker(0), stage.fixture.app_state());
    app.changes().publish(Change::WorkerChanged(id));
    let overview = app.store.overview_of_worker(id).await.unwrap().unwrap();
    assert!(overview.worker.heard().unwrap() < Utc::now() - TimeDelta::hours(20));
    assert_eq!(operator::worker(&overview, app.silent_workers.is_silent(id)).state, WorkerStateName::Awake);
    stage.fixture.stop().await;
}

async fn clock(stage: &Stage) -> Value {
    let operator = ("Authorization".to_owned(), format!("Bearer {}", stage.fixture.app_state().token.expose()));
    let answer = ask(stage.fixture.http(), "GET", "/operator/v1/workers", &[operator], None).await;
    let workers: Value = serde_json::from_slice(&answer.body).unwrap();
    workers["workers"][0]["clock"].clone()
}

#[tokio::test]
async fn a_worker_with_a_wrong_clock_is_shown_as_such() {
    let stage = Stage::start(1).await;
    let answers = async |ahead: TimeDelta, kind: AnswerKind| {
        let answer = WorkerAnswer { at: Some(Utc::now() + ahead), kind, ..WorkerAnswer::default() };
        stage.store().record_status(stage.worker(0), &answer, Utc::now()).await.unwrap();
    };
    assert_eq!(clock(&stage).await, Value::Null);
    answers(TimeDelta::hours(-3), AnswerKind::Original).await;
    assert_eq!(clock(&stage).await, "its clock is 3 h behind the server's");
    // What an operator writes for it says nothing of its clock.
    answers(TimeDelta::days(3), AnswerKind::Unsaid).await;
    assert_eq!(clock(&stage).await, "its clock is 3 h behind the server's");
    answers(TimeDelta::milliseconds(-1500), AnswerKind::Original).await;
    assert_eq!(clock(&stage).await, Value::Null);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn the_times_shown_of_a_run_are_on_one_clock() {
    let stage = Stage::start(1).await;
    for ahead in [TimeDelta::hours(-3), TimeDelta::hours(3)] {
        let job = stage.job(|job| job.title = Title::new(&format!("{ahead}")).expect("a title")).await;
        let run = started(&stage, &job, ahead).await;
        let over = Patch { return_dts: Some(Some(Utc::now() + ahead)), ..returned(true) };
        made(stage.change(0, run.id, over).await);
        let shown = stage.store().overview_of_run(run.id).await.unwrap().unwrap().run;
        let times = [Some(shown.schedule_dts), shown.enqueue_dts, shown.start_dts, shown.return_dts];
        for pair in times.windows(2) {
            let between = pair[1].unwrap() - pair[0].unwrap();
            assert!((TimeDelta::seconds(-1)..TimeDelta::seconds(10)).contains(&between), "{ahead}: {times:?}");
        }
        // What the API tells is what the worker wrote.
        let stored = stage.run(run.id).await;
        assert!((stored.start_dts.unwrap() - Utc::now() - ahead).abs() < TimeDelta::seconds(10));
    }
    stage.fixture.stop().await;
}

#[tokio::test]
async fn times_written_by_the_server_are_shown_unchanged() {
    let stage = Stage::start(1).await;
    let near = |at: Option<model::Timestamp>| (at.expect("a time") - Utc::now()).abs() < TimeDelta::seconds(10);
    for ahead in [TimeDelta::hours(-3), TimeDelta::hours(3)] {
        let job = stage.job(|job| job.title = Title::new(&format!("{ahead}")).expect("a title")).await;
        // Its worker is lost: the end is the server's.
        let lost = started(&stage, &job, ahead).await.id;
        stage.store().mark_lost(stage.worker(0), 1, Utc::now()).await.unwrap();
        // It is given back, and cancelled before anybody else claims it.
        let cancelled = started(&stage, &job, ahead).await.id;
        let back = Patch { enqueue_dts: Some(None), start_dts: Some(None), ..Patch::default() };
        made(stage.change(0, cancelled, back).await);
        stage.store().end_run(cancelled, Asker::Command, Utc::now()).await.unwrap();
        for run in [lost, cancelled] {
            let shown = stage.store().overview_of_run(run).await.unwrap().unwrap().run;
            let times = [shown.enqueue_dts, shown.start_dts, shown.return_dts];
            assert!(times.into_iter().all(near), "{ahead}: {times:?}");
        }
    }
    stage.fixture.stop().await;
}

/// What gives a process another clock, where it is installed.
const FAKE_TIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// The first number that a question finds.
fn number(store: &Session, question: &str) -> i64 {
    store.value(question, [])
}

async fn until_true(store: &Session, question: &str) {
    let asking = async {
        while number(store, question) == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking).await.unwrap_or_else(|_| panic!("not in time: {question}"));
}

/// The real clock cannot be set here: a library tells the server another time from one second to the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_requested_run_stays_due_when_the_servers_clock_is_set_back() {
    if !Path::new(FAKE_TIME).exists() {
        return skip("no libfaketime, so no server's clock is set back");
    }
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    let asked = NewRun { is_manual: true, ..NewRun::due(job.id, Utc::now()) };
    stage.store().new_run(&asked).await.expect("a run");
    let (place, folder) = (place(), stage.fixture.leave().await);
    let clock = folder.path().join("clock");
    fs::write(&clock, "+0").expect("a clock");
    let mut service = Service::start(folder.path(), &folder.path().join("data"), place);
    service.again_with(&[
        ("LD_PRELOAD", FAKE_TIME),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().expect("a path")),
        ("FAKETIME_CACHE_DURATION", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    let store = database::Store::of(&folder.path().join("data")).connect();
    tokio::task::block_in_place(|| until("the server", 60, || TcpStream::connect(place.http).ok()));
    fs::write(&clock, "-3600").expect("a clock");
    let long_ago = (Utc::now() - TimeDelta::minutes(30)).timestamp_micros();
    let is_due_still = format!("SELECT count(*) FROM run WHERE id = 1 AND came_due < {long_ago}");
    until_true(&store, &is_due_still).await;
    let mut worker = start_worker(Make::Ours, place, "worker1", 4, folder.path());
    until_true(&store, "SELECT count(*) FROM run WHERE id = 1 AND return_success = 1").await;
    worker.signal(Signal::SIGTERM);
    tokio::task::block_in_place(|| worker.end_within(60));
    tokio::task::block_in_place(|| service.leave());
}

fn place() -> Place {
    let http = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    Place { http, events: port::free(), broadcaster: port::free() }
}
