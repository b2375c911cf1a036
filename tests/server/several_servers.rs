//! Several servers at one database: what is asked of one is done by all, and one of them dispatches.

mod farm;
mod killed;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use jobrunner::run::{Order, RunId};
use jobrunner::server::domain::model::{Concurrency, Run, RunState};
use jobrunner::server::peers::{Duty, PeerMessage};
use jobrunner::server::store::changes::Change;
use jobrunner::server::store::{RunChange, Store};
use jobrunner::server::{Database, DatabaseUrl, Settings};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::http::{ask, post};
use crate::logs::{Follower, append, begun};
use crate::process::Process;
use crate::stage::Stage;
use crate::test_database::TestDatabase;
use crate::wait::until;
use crate::worker_process::{Make, Place, start_worker_with};

/// How long anything here may take to happen.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a process may take for what it tries again every half a minute at last.
const LONG_SECONDS: u64 = 60;
/// The operator's token at all servers.
const TOKEN: &str = "the-operator-of-all-servers";
/// Seconds that are left of a lease at least when its holder goes: it is renewed each second.
const LEFT: Duration = Duration::from_secs(2);

/// Two servers at one database, of which the first dispatches.
struct Two {
    here: Stage,
    there: Stage,
    database: TestDatabase,
}

impl Two {
    /// Nothing where PostgreSQL is not installed.
    async fn start(workers: usize) -> Option<Self> {
        Self::with(workers, |_| {}).await
    }

    async fn with(workers: usize, change: impl Fn(&mut Settings)) -> Option<Self> {
        let database = TestDatabase::fresh()?;
        let here = Stage::with(workers, |settings| {
            join(settings, &database);
            change(settings);
        })
        .await;
        dispatches(&here.fixture).await;
        let there = beside(&here, &database, change).await;
        Some(Self { here, there, database })
    }

    async fn stop(self) {
        self.here.fixture.stop().await;
        self.there.fixture.stop().await;
        drop(self.database);
    }
}

/// Has a server use a database with others, with their token.
fn join(settings: &mut Settings, database: &TestDatabase) {
    settings.database = Database::Postgres(DatabaseUrl::parse(database.url()).expect("a URL"));
    give_token(&settings.data);
}

/// Makes the folder of a server's data with the token that all share.
fn give_token(data: &Path) {
    fs::DirBuilder::new().mode(0o700).create(data).expect("a folder");
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(data.join("operator.token"));
    std::io::Write::write_all(&mut file.expect("a file"), TOKEN.as_bytes()).expect("a token");
}

/// Starts one more server at the database of another.
async fn beside(stage: &Stage, database: &TestDatabase, change: impl Fn(&mut Settings)) -> Stage {
    let fixture = Fixture::with(|settings| {
        join(settings, database);
        settings.announce_interval = stage.fixture.app_state().settings.announce_interval;
        change(settings);
    })
    .await;
    Stage { fixture, pool: stage.pool.clone(), template: stage.template.clone(), workers: stage.workers.clone() }
}

/// Waits until a server dispatches.
async fn dispatches(fixture: &Fixture) {
    let mut duty = fixture.app_state().peers.duty();
    let here = duty.wait_for(|duty| matches!(duty, Duty::Here(_)));
    tokio::time::timeout(PATIENCE, here).await.expect("it dispatches in time").expect("it goes on");
}

/// Starts a worker that reaches one server alone, by the HTTP port.
fn worker(stage: &Stage, key: &str, folder: &Path) -> Process {
    let place = Place::of(&stage.fixture);
    let settings = [("ws_url", format!("ws://{}/worker", place.http)), ("broadcaster_server_port", "1".to_owned())];
    start_worker_with(Make::Ours, place, key, 4, folder, &settings)
}

fn end(worker: &mut Process) {
    worker.signal(Signal::SIGTERM);
    assert!(tokio::task::block_in_place(|| worker.end_within(LONG_SECONDS)).success());
}

/// Waits until a worker has said something.
fn said(worker: &Process, what: &str) {
    let is_said = || worker.text().contains(what).then_some(());
    tokio::task::block_in_place(|| until(what, LONG_SECONDS, is_said));
}

async fn over(stage: &Stage, run: RunId) -> Run {
    let over = async |store: &Store| store.run(run).await.unwrap().filter(|run| run.state() == RunState::Completed);
    stage.until("the end of a run", over).await
}

/// What the operator's API of a server answers.
async fn get(stage: &Stage, path: &str) -> Value {
    let bearer = stage.fixture.bearer();
    let (name, value) = bearer.split_once(": ").expect("a header");
    let headers = [(name.to_owned(), value.to_owned())];
    let answer = ask(stage.fixture.http(), "GET", &format!("/operator/v1{path}"), &headers, None).await;
    assert_eq!(answer.status, 200, "{path}");
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// A job whose scripts last until a file is there.
async fn lasting(stage: &Stage, gate: &Path) -> jobrunner::server::domain::model::Job {
    let script = format!("while [ ! -e {} ]; do sleep 0.1; done", gate.display());
    stage.job(|job| job.script = script).await
}

async fn started(stage: &Stage, run: RunId) {
    let started = async |store: &Store| store.run(run).await.unwrap().and_then(|run| run.start_dts);
    stage.until("the start of a run", started).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_reaches_a_worker_that_is_connected_to_the_other_server() {
    let Some(two) = Two::start(1).await else { return };
    let mut subscriber = two.there.subscribe(0).await;
    let job = two.there.job(|_| {}).await;
    let run = two.there.due(&job).await;
    assert_eq!(subscriber.run().await, run.id);
    two.stop().await;
}

/// Nothing else tells the dispatcher of it: what is open would be repeated after an hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_connects_to_the_other_server_gets_at_once_what_is_open() {
    let slow = |settings: &mut Settings| settings.announce_interval = Duration::from_secs(3600);
    let Some(two) = Two::with(1, slow).await else { return };
    let job = two.here.job(|_| {}).await;
    // Announced while nobody hears it.
    let run = two.here.due(&job).await;
    two.here.until("a run that waits", async |_: &_| two.here.fixture.app_state().waiting.of(job.id, run.id)).await;
    let mut subscriber = two.there.subscribe(0).await;
    assert_eq!(subscriber.run().await, run.id);
    two.stop().await;
}

/// The dispatcher has nothing else to wake for: it pings no share of the workers for hours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_asked_for_at_the_other_server_starts_at_once() {
    let idle = |settings: &mut Settings| settings.ping_interval = Duration::from_secs(100 * 3600);
    let Some(two) = Two::with(1, idle).await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut worker = worker(&two.here, "worker1", folder.path());
    said(&worker, "and calls go there too");
    let job = two.here.job(|_| {}).await;
    let (status, run) = post(&two.there.fixture, &format!("/jobs/{}/schedule", job.id), &json!({})).await;
    assert!(status < 300, "{status} {run}");
    let runs = async |store: &Store| store.fires(job.id, 1).await.unwrap().pop().and_then(|fire| fire.run);
    let run = match run["id"].as_i64().or(run["run"].as_i64()).and_then(RunId::new) {
        Some(run) => run,
        None => two.there.until("the run", runs).await,
    };
    assert_eq!(over(&two.there, run).await.return_success, Some(true));
    end(&mut worker);
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_claims_at_two_servers_one_is_made() {
    let Some(two) = Two::start(2).await else { return };
    let job = two.here.job(|job| job.concurrency = Concurrency::Allow).await;
    let mut won = [0, 0];
    for _ in 0..30 {
        let run = two.here.due(&job).await.id;
        let (one, other) = tokio::join!(two.here.claim(0, run), two.there.claim(1, run));
        let made = [one, other].map(|change| matches!(change, RunChange::Made(_)));
        assert_eq!(made.iter().filter(|made| **made).count(), 1, "{made:?}");
        won[usize::from(made[1])] += 1;
        let claimed = two.there.run(run).await;
        assert_eq!(claimed.worker, Some(two.here.worker(usize::from(made[1]))));
    }
    assert!(won.iter().all(|won| *won > 0), "each is first at times, or nothing was raced: {won:?}");
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_that_is_asked_for_at_one_server_reaches_the_worker_at_the_other() {
    let Some(two) = Two::start(1).await else { return };
    let job = lasting(&two.here, Path::new("/nowhere")).await;
    for (at, from) in [(&two.there, &two.here), (&two.here, &two.there)] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut worker = worker(at, "worker1", folder.path());
        let run = from.due(&job).await.id;
        started(from, run).await;
        let (status, answer) = post(&from.fixture, &format!("/runs/{run}/kill"), &json!({})).await;
        assert!(status < 300, "{status} {answer}");
        assert_eq!(over(from, run).await.return_success, Some(false));
        end(&mut worker);
    }
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_followed_through_the_other_server() {
    let Some(two) = Two::start(1).await else { return };
    let run = begun(&two.here).await;
    append(&two.here, run, 0, "first\n").await;
    let mut follower = Follower::of(&two.there, run, "").await;
    follower.hear("first\n").await;
    append(&two.here, run, 6, "second\n").await;
    follower.hear("second\n").await;
    two.stop().await;
}

/// Cookies have the port in their name, and these servers have one host.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_at_one_server_ends_the_session_at_the_other() {
    let Some(two) = Two::start(1).await else { return };
    let [here, there] = [&two.here, &two.there].map(|stage| stage.fixture.http());
    let browser = Browser::log_in(here).await;
    assert_eq!((browser.status(here).await, browser.status(there).await), (200, 200));
    browser.log_out(here).await;
    let refused = async |_: &_| (browser.status(there).await == 401).then_some(());
    two.there.until("the end of the session", refused).await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_worker_with_one_key_is_refused_at_the_other_server_until_the_first_has_left() {
    let Some(two) = Two::start(1).await else { return };
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let job = lasting(&two.here, &folders[0].path().join("gate")).await;
    let run = two.here.due(&job).await.id;
    let mut first = worker(&two.here, "worker1", folders[0].path());
    started(&two.here, run).await;
    let mut second = worker(&two.there, "worker1", folders[1].path());
    said(&second, "server refuses this worker");
    fs::write(folders[0].path().join("gate"), "").expect("a file");
    let done = over(&two.there, run).await;
    assert_eq!((done.return_success, done.attempt.0, done.losses), (Some(true), 1, 0));
    end(&mut first);
    said(&second, "and calls go there too");
    let next = two.here.due(&job).await.id;
    assert_eq!(over(&two.here, next).await.return_success, Some(true));
    end(&mut second);
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_dispatcher_alone_knows_is_shown_at_each_server() {
    let impatient = |settings: &mut Settings| {
        settings.ping_interval = Duration::from_millis(200);
        settings.ping_margin = Duration::from_millis(200);
    };
    let Some(two) = Two::with(1, impatient).await else { return };
    let third = beside(&two.here, &two.database, impatient).await;
    let worker = two.here.worker(0);
    let job = two.here.job(|_| {}).await;
    let run = two.here.due(&job).await;
    let shows_silence = async |stage: &Stage| {
        let silent = async |_: &_| stage.fixture.app_state().silent_workers.is_silent(worker).then_some(());
        stage.until("a worker that does not answer", silent).await;
        let waits = async |_: &_| {
            let waits = get(stage, &format!("/runs/{}", run.id)).await["waits"].clone();
            (waits["reason"] == "nobody_answers").then_some(waits)
        };
        (get(stage, "/workers").await, stage.until("why the run waits", waits).await)
    };
    let here = shows_silence(&two.here).await;
    assert_eq!(shows_silence(&two.there).await, here);
    assert_eq!(shows_silence(&third).await, here);
    // One that comes later is told what was said before.
    let late = beside(&two.here, &two.database, impatient).await;
    assert_eq!(shows_silence(&late).await, here);

    // It answers, to whichever server: nobody calls it silent any more.
    third.answer(0, 4).await;
    for stage in [&two.here, &two.there, &third, &late] {
        let answers = async |_: &_| (!stage.fixture.app_state().silent_workers.is_silent(worker)).then_some(());
        stage.until("a worker that answers", answers).await;
    }
    late.fixture.stop().await;
    third.fixture.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_later_is_told_of_all_runs_that_wait() {
    const JOBS: usize = 300;
    let Some(two) = Two::start(0).await else { return };
    two.here.fill(0, JOBS, JOBS).await;
    let app = two.here.fixture.app_state();
    for job in two.here.store().jobs_due(chrono::Utc::now()).await.expect("jobs") {
        app.changes().publish(Change::JobChanged(job));
    }
    let waiting = async |stage: &Stage| {
        let all = async |_: &_| (stage.fixture.app_state().waiting.all().len() == JOBS).then_some(());
        stage.until("the runs that wait", all).await;
    };
    waiting(&two.here).await;
    let late = beside(&two.here, &two.database, |_| {}).await;
    waiting(&late).await;
    waiting(&two.there).await;
    late.fixture.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispatcher_that_stops_hands_over_at_once() {
    let Some(Two { here, there, database }) = Two::start(1).await else { return };
    let mut subscriber = there.subscribe(0).await;
    let job = there.job(|_| {}).await;
    // A word from it: the two know of each other.
    while subscriber.next().await != Order::Ping {}
    let mut messages = there.store().messages();
    let stopped = Instant::now();
    here.fixture.stop().await;
    dispatches(&there.fixture).await;
    assert!(stopped.elapsed() < LEFT, "after {:?}, when the lease may have ended by itself", stopped.elapsed());
    let run = there.due(&job).await;
    assert_eq!(subscriber.run().await, run.id);
    let told = std::iter::from_fn(|| messages.try_recv().ok()).any(|told| *told == *PeerMessage::LeaseFree.encode());
    assert!(told, "it has said so");
    there.fixture.stop().await;
    drop(database);
}

/// A browser that goes to several ports of one host.
struct Browser {
    cookie: String,
}

impl Browser {
    async fn log_in(http: std::net::SocketAddr) -> Self {
        let login = format!("token={TOKEN}");
        let answer = ask(http, "POST", "/login", &form_of(http), Some(login.as_bytes())).await;
        let cookie = answer.headers["set-cookie"].split(';').next().expect("a cookie");
        Self { cookie: cookie.split_once('=').expect("a value").1.to_owned() }
    }

    fn cookie(&self, http: std::net::SocketAddr) -> (String, String) {
        ("Cookie".to_owned(), format!("job_runner_pages_{}={}", http.port(), self.cookie))
    }

    async fn status(&self, http: std::net::SocketAddr) -> u16 {
        ask(http, "GET", "/operator/v1/runs", &[self.cookie(http)], None).await.status
    }

    async fn log_out(&self, http: std::net::SocketAddr) {
        let page = ask(http, "GET", "/", &[self.cookie(http)], None).await;
        let page = String::from_utf8(page.body).expect("text");
        let (_, rest) = page.split_once("name=\"form_token\" value=\"").expect("a form");
        let form = format!("form_token={}", rest.split_once('"').expect("its end").0);
        let headers = [&form_of(http)[..], &[self.cookie(http)]].concat();
        assert_eq!(ask(http, "POST", "/logout", &headers, Some(form.as_bytes())).await.status, 303);
    }
}

fn form_of(http: std::net::SocketAddr) -> [(String, String); 2] {
    [("Origin", format!("http://{http}")), ("Content-Type", "application/x-www-form-urlencoded".to_owned())]
        .map(|(name, value)| (name.to_owned(), value))
}
