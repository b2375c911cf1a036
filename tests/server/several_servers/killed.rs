//! Servers of one database that are killed or paused: the other goes on, and nothing is lost or done twice.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use jobrunner::run::RunId;
use jobrunner::server::domain::model::JobId;
use jobrunner::server::domain::title::Title;
use jobrunner::server::store::NewPool;
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{Browser, LONG_SECONDS, TOKEN, end, give_token, join};
use crate::database::{self, Session};
use crate::http::ask;
use crate::port;
use crate::process::Process;
use crate::recorded_runs::RecordedRuns;
use crate::service::Service;
use crate::stage::Stage;
use crate::test_database::TestDatabase;
use crate::wait::until;
use crate::worker_process::{Make, Place, start_worker_with};

/// From the death of a dispatcher until the other dispatches: four seconds, and one for a busy machine.
const REPLACED: Duration = Duration::from_secs(5);
/// How late a start may be by it.
const LATE: Duration = Duration::from_secs(6);
/// From one due run to the next.
const STEP: Duration = Duration::from_millis(100);
/// Which server dispatches.
const DISPATCHER: &str = "SELECT address FROM server JOIN dispatch_lease ON dispatch_lease.server = server.id";

/// Two servers, processes, and a worker that is connected to the second. The first dispatches.
struct Scene {
    worker: Process,
    services: [Service; 2],
    places: [Place; 2],
    session: Session,
    runs: RecordedRuns,
    /// A job without a worker.
    stuck: JobId,
    _folder: TempDir,
    _database: TestDatabase,
}

impl Scene {
    /// With so many runs that come due one after the other. Nothing where PostgreSQL is not installed.
    async fn start(runs: u32) -> Option<Self> {
        let database = TestDatabase::fresh()?;
        let stage = Stage::with(1, |settings| join(settings, &database)).await;
        let folder = tempfile::tempdir().expect("a folder");
        let runs = RecordedRuns::create(&stage, folder.path(), TimeDelta::seconds(5), STEP, runs).await;
        let empty = stage.store().new_pool(&NewPool::new(Title::fixed("empty"))).await.expect("a pool");
        let stuck = stage.job(|new| (new.title, new.pool) = (Title::fixed("stuck"), empty.id)).await.id;
        let settings = stage.fixture.app_state().settings.database.clone();
        stage.fixture.stop().await;

        let session = database::Store::Postgres(database.url().to_owned()).connect();
        let places = [(); 2].map(|()| Place {
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, port::free())),
            events: port::free(),
            broadcaster: port::free(),
        });
        let start = |number: usize| {
            let own = folder.path().join(format!("server{number}"));
            fs::create_dir(&own).expect("a folder");
            let data = own.join("data");
            give_token(&data);
            database::note(&data, &settings);
            Service::start(&own, &data, places[number])
        };
        let one = start(0);
        wait("the first dispatches", || dispatches(&session, places[0]).then_some(()));
        let services = [one, start(1)];
        wait("the second listens", || port::is_open(places[1].http.port()).then_some(()));
        let uplink =
            [("ws_url", format!("ws://{}/worker", places[1].http)), ("broadcaster_server_port", "1".to_owned())];
        let worker = start_worker_with(Make::Ours, places[1], "worker1", 4, folder.path(), &uplink);
        Some(Self { worker, services, places, session, runs, stuck, _folder: folder, _database: database })
    }

    fn log(&self, server: usize) -> String {
        self.services[server].process.text()
    }

    fn dispatches(&self, server: usize) -> bool {
        dispatches(&self.session, self.places[server])
    }

    fn results(&self) -> usize {
        self.session.values::<i64>("SELECT id FROM run WHERE return_success = 1", []).len()
    }

    fn wait_for_results(&self, number: usize) {
        wait(&format!("{number} results"), || (self.results() >= number).then_some(()));
    }

    /// Asks a server as the operator.
    async fn ask(&self, server: usize, method: &str, path: &str) -> Value {
        let headers = [("Authorization", format!("Bearer {TOKEN}")), ("Content-Type", "application/json".to_owned())]
            .map(|(name, value)| (name.to_owned(), value));
        let body = (method == "POST").then_some(&b"{}"[..]);
        let to = self.places[server].http;
        let answer = ask(to, method, &format!("/operator/v1{path}"), &headers, body).await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.status);
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    /// Has a run made that waits for a worker of an empty pool.
    async fn stick(&self, server: usize) -> RunId {
        self.ask(server, "POST", &format!("/jobs/{}/schedule", self.stuck)).await;
        let run = self.session.value("SELECT max(id) FROM run WHERE job = ?", [self.stuck.get().into()]);
        RunId::new(run).expect("a run")
    }

    /// Waits until a server says why a run waits.
    async fn shows_wait(&self, server: usize, run: RunId) {
        let end = Instant::now() + Duration::from_secs(LONG_SECONDS);
        while self.ask(server, "GET", &format!("/runs/{run}")).await["waits"].is_null() {
            assert!(Instant::now() < end, "server {server} does not say why run {run} waits");
            tokio::task::block_in_place(crate::wait::pause);
        }
    }

    /// Waits until all is over, and looks whether each run was executed once, and in time.
    fn assert_once_and_in_time(&self) {
        self.wait_for_results(self.runs.due.len());
        let executions = self.runs.executions();
        assert_eq!(executions.len(), self.runs.due.len());
        for (run, due) in &self.runs.due {
            let [executed] = executions[run][..] else { panic!("run {run} was executed at {:?}", executions[run]) };
            assert!(executed.saturating_sub(*due) <= LATE, "run {run} is {:?} late", executed.saturating_sub(*due));
        }
        let ask = |question| self.session.value::<i64>(question, []);
        assert_eq!(ask("SELECT max(attempt) FROM run"), 1);
        assert_eq!(ask("SELECT max(losses) FROM run"), 0);
    }

    fn leave(mut self, servers: &[usize]) {
        end(&mut self.worker);
        for server in servers {
            tokio::task::block_in_place(|| self.services[*server].leave());
        }
    }
}

fn dispatches(session: &Session, place: Place) -> bool {
    session.values::<String>(DISPATCHER, []) == [place.http.to_string()]
}

fn wait<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    tokio::task::block_in_place(|| until(what, LONG_SECONDS, look))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispatcher_that_is_killed_is_replaced_and_no_run_is_missed_or_doubled() {
    let Some(mut scene) = Scene::start(100).await else { return };
    scene.wait_for_results(20);
    assert!(scene.dispatches(0));
    let killed = Instant::now();
    scene.services[0].process.signal(Signal::SIGKILL);
    wait("the other dispatches", || scene.dispatches(1).then_some(()));
    assert!(killed.elapsed() <= REPLACED, "{:?}", killed.elapsed());
    tokio::task::block_in_place(|| scene.services[0].process.end_within(LONG_SECONDS));
    scene.assert_once_and_in_time();
    scene.leave(&[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispatcher_that_was_paused_changes_nothing_and_shows_what_the_other_knows() {
    let Some(scene) = Scene::start(120).await else { return };
    let before = scene.stick(0).await;
    scene.shows_wait(1, before).await;
    scene.wait_for_results(20);
    scene.services[0].process.signal(Signal::SIGSTOP);
    wait("the other dispatches", || scene.dispatches(1).then_some(()));
    let run = scene.stick(1).await;
    scene.shows_wait(1, run).await;
    scene.services[0].process.signal(Signal::SIGCONT);
    wait("it gives up", || scene.log(0).contains("this server does not dispatch any more").then_some(()));
    scene.shows_wait(0, run).await;
    scene.shows_wait(0, before).await;
    scene.assert_once_and_in_time();
    assert!(scene.dispatches(1));
    assert!(!scene.log(0).contains("ERROR"), "{}", scene.log(0));
    scene.leave(&[0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_paused_hears_of_a_logout_and_of_what_waits() {
    let Some(scene) = Scene::start(1).await else { return };
    let browser = Browser::log_in(scene.places[0].http).await;
    assert_eq!(browser.status(scene.places[1].http).await, 200);
    scene.wait_for_results(1);
    scene.services[1].process.signal(Signal::SIGSTOP);
    // The first has counted it out.
    let apart = "SELECT renewed - seen FROM dispatch_lease, server WHERE server.id <> dispatch_lease.server";
    wait("the other counts as dead", || {
        scene.session.values::<i64>(apart, []).iter().all(|apart| *apart > 3_500_000).then_some(())
    });
    browser.log_out(scene.places[0].http).await;
    let run = scene.stick(0).await;
    scene.shows_wait(0, run).await;
    scene.services[1].process.signal(Signal::SIGCONT);
    let end = Instant::now() + Duration::from_secs(LONG_SECONDS);
    while browser.status(scene.places[1].http).await != 401 {
        assert!(Instant::now() < end, "the session goes on");
        tokio::task::block_in_place(crate::wait::pause);
    }
    scene.shows_wait(1, run).await;
    scene.leave(&[0, 1]);
}
