//! Commands to workers: real worker processes sleep, wake, restart and shut down, finish their runs first or give them back,
//! over each transport.

use std::path::{Path, PathBuf};

use jobrunner::run::Order;
use jobrunner::server::domain::model::{Job, Run, RunExit, RunState};
use jobrunner::server::domain::title::Title;
use jobrunner::server::http::operator;
use jobrunner::server::store::{NewJob, Store};
use jobrunner::wire::operator::{WorkerInfo, WorkerStateName};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use serde_json::{Value, json};

use crate::http::ask;
use crate::peer::Peer;
use crate::port;
use crate::process::Process;
use crate::skip::skip;
use crate::stage::Stage;
use crate::worker_process::{Make, Place, start_worker_with, without_settings};

/// How long a worker has to leave.
const END_SECONDS: u64 = 60;
/// What ours ends with to be started again.
const RESTART: i32 = 47;

/// How workers hear of what is asked of them.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// ZeroMQ, with calls over HTTP.
    Broadcast,
    /// A WebSocket for everything.
    WebSocket,
    /// Nobody calls them.
    Nothing,
}

/// A server, its workers, and where they live.
struct Team {
    stage: Stage,
    folder: tempfile::TempDir,
    way: Way,
    /// Where nobody listens.
    nowhere: u16,
}

impl Team {
    async fn of(workers: usize, way: Way) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { stage: Stage::start(workers).await, folder, way, nowhere: port::free() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start_worker(&self, key: &str) -> Process {
        self.start_worker_with(key, &[("restart_exit_code", RESTART.to_string())])
    }

    fn start_worker_with(&self, key: &str, settings: &[(&str, String)]) -> Process {
        let place = Place::of(&self.stage.fixture);
        let mut settings = settings.to_vec();
        match self.way {
            Way::Broadcast => {}
            Way::WebSocket => {
                settings.push(("ws_url", format!("ws://{}/worker", place.http)));
                settings.push(("broadcaster_server_port", self.nowhere.to_string()));
            }
            Way::Nothing => settings.push(("broadcaster_server_port", self.nowhere.to_string())),
        }
        start_worker_with(Make::Ours, place, key, 2, self.folder.path(), &settings)
    }

    /// Asks as an operator. What became of that.
    async fn act(&self, action: &str, now: bool, workers: &[&str]) -> Vec<Value> {
        let fixture = &self.stage.fixture;
        let header = |name: &str, value: String| (name.to_owned(), value);
        let headers = [
            header("Authorization", format!("Bearer {}", fixture.app_state().token.expose())),
            header("Content-Type", "application/json".to_owned()),
        ];
        let body = json!({"workers": workers, "action": action, "now": now, "by": "ann", "reason": "a test"});
        let body = body.to_string();
        let answer = ask(fixture.http(), "POST", "/operator/v1/workers/act", &headers, Some(body.as_bytes())).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let acted: Value = serde_json::from_slice(&answer.body).expect("JSON");
        acted["workers"].as_array().expect("a list").clone()
    }

    /// Has something asked of one worker, which must be new.
    async fn request(&self, action: &str, now: bool, worker: &str) {
        let acted = self.act(action, now, &[worker]).await;
        assert_eq!(acted[0]["what"], "requested", "{acted:?}");
        let request = &acted[0]["worker"]["request"];
        assert_eq!((&request["action"], &request["by"]), (&json!(action), &json!("ann")), "{acted:?}");
        assert_eq!((&request["reason"], &request["over"]), (&json!("a test"), &json!(null)), "{acted:?}");
    }

    /// Waits until a worker is seen like this.
    async fn see(&self, index: usize, what: &str, like: impl Fn(&WorkerInfo) -> bool) -> WorkerInfo {
        let (id, app) = (self.stage.worker(index), self.stage.fixture.app_state());
        let look = async |store: &Store| {
            let overview = store.overview_of_worker(id).await.unwrap().unwrap();
            Some(operator::worker(&overview, app.silent_workers.is_silent(id))).filter(&like)
        };
        self.stage.until(what, look).await
    }

    /// Waits until a worker is in a state and nothing is asked of it.
    async fn settled(&self, index: usize, state: WorkerStateName) -> WorkerInfo {
        let like = |worker: &WorkerInfo| worker.state == state && !is_asked(worker);
        self.see(index, &format!("a worker that is {}", state.word()), like).await
    }

    /// A job of this script.
    async fn job(&self, title: &str, script: &str) -> Job {
        self.stage
            .job(|new: &mut NewJob| (new.title, new.script) = (Title::new(title).expect("a title"), script.to_owned()))
            .await
    }

    /// A job that lasts until the gate is opened.
    async fn gated(&self, title: &str) -> (Job, Gate) {
        let gate = Gate::new(self.path(&format!("{title}.gate")));
        (self.job(title, &format!("cat {}", gate.0.display())).await, gate)
    }

    /// A job that lasts for ever the first time, and leaves the process id of its script.
    async fn stubborn(&self, title: &str) -> (Job, PathBuf) {
        let pid = self.path(&format!("{title}.pid"));
        let shown = pid.display();
        let gate = Gate::new(self.path(&format!("{title}.gate")));
        let script = format!("{}\necho $$ > {shown}\ncat {}", again(&pid), gate.0.display());
        (self.job(title, &script).await, pid)
    }

    async fn until_run(&self, run: &Run, what: &str, like: impl Fn(&Run) -> bool) -> Run {
        let look = async |store: &Store| store.run(run.id).await.unwrap().filter(&like);
        self.stage.until(what, look).await
    }

    async fn started(&self, run: &Run) -> Run {
        self.until_run(run, "the start of a run", |run| run.state() == RunState::Started).await
    }

    async fn over(&self, run: &Run) -> Run {
        self.until_run(run, "the end of a run", |run| run.state() == RunState::Completed).await
    }

    async fn waits(&self, job: &Job, why: &str) {
        let look = async |store: &Store| {
            let fires = store.fires(job.id, 100).await.unwrap();
            fires.iter().any(|fire| fire.reason.to_string().contains(why)).then_some(())
        };
        // What is written down of a wait is no news: what changes with it is looked at.
        if look(self.stage.store()).await.is_none() {
            self.stage.until(why, look).await;
        }
    }
}

/// Whether something is asked of a worker that it has not confirmed.
fn is_asked(worker: &WorkerInfo) -> bool {
    worker.request.as_ref().is_some_and(jobrunner::wire::operator::CommandInfo::is_open)
}

/// What a script does that was begun before: it says so, and whether the execution before it is alive.
fn again(pid: &Path) -> String {
    let pid = pid.display();
    format!("[ -e {pid} ] && {{ kill -0 $(cat {pid}) 2> /dev/null && echo overlapping; echo again; exit 0; }}")
}

/// Holds a script back until it is opened.
struct Gate(PathBuf);

impl Gate {
    fn new(path: PathBuf) -> Self {
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).expect("a pipe");
        Self(path)
    }

    async fn open(self) {
        tokio::task::spawn_blocking(move || std::fs::write(self.0, "open\n").expect("a script that reads"))
            .await
            .expect("an open gate");
    }
}

async fn end(mut worker: Process) -> Option<i32> {
    tokio::task::spawn_blocking(move || worker.end_within(END_SECONDS).code()).await.expect("the end of the worker")
}

/// Has the worker of a key do something, as somebody on its machine.
fn tell(key: &str, folder: &Path, option: &str) -> std::process::Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_job_runner_worker"));
    without_settings(&mut command);
    command.arg("--config-path").arg(folder.join(format!("{key}.ini"))).arg(option).output().expect("an answer")
}

/// Kills a worker, and waits until it is gone.
async fn crash(worker: Process) {
    worker.signal(Signal::SIGKILL);
    assert_eq!(end(worker).await, None, "it was killed");
}

/// Whether the script that left its process id there is alive.
fn is_alive(pid: &Path) -> bool {
    let pid = std::fs::read_to_string(pid).expect("a script that began");
    Path::new(&format!("/proc/{}", pid.trim())).exists()
}

/// To sleep and awake again, then off; what it is told and when it has confirmed.
async fn sleeps_and_wakes(way: Way) {
    let team = Team::of(1, way).await;
    let worker = team.start_worker("worker1");
    let awake = team.settled(0, WorkerStateName::Awake).await;
    assert_eq!((awake.seats, awake.free, awake.outbox), (Some(2), Some(2), Some(0)));
    assert_eq!(awake.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    team.request("sleep", false, "worker1").await;
    let asleep = team.settled(0, WorkerStateName::Asleep).await;
    let request = asleep.request.expect("what was asked is remembered");
    assert_eq!((request.by.as_str(), request.end.as_deref()), ("ann", Some("confirmed")));
    assert_eq!(team.act("sleep", false, &["worker1"]).await[0]["what"], "already");

    // What else has changed is told at once, too.
    let ini = team.path("worker1.ini");
    let text = std::fs::read_to_string(&ini).expect("the configuration");
    std::fs::write(&ini, text.replace("concurrent_jobs = 2", "concurrent_jobs = 3")).expect("the configuration");
    worker.signal(Signal::SIGHUP);
    team.see(0, "a worker with three slots", |worker| worker.seats == Some(3)).await;

    let job = team.job("hello", "echo hello").await;
    let run = team.stage.due(&job).await;
    team.waits(&job, "every worker of the pool sleeps").await;
    assert_eq!(team.stage.run(run.id).await.state(), RunState::Scheduled);
    team.request("wake", false, "worker1").await;
    assert_eq!(team.over(&run).await.return_success, Some(true));
    team.settled(0, WorkerStateName::Awake).await;

    team.request("shutdown", false, "worker1").await;
    assert_eq!(end(worker).await, Some(0));
    team.settled(0, WorkerStateName::Offline).await;
    assert_eq!(team.act("shutdown", false, &["worker1"]).await[0]["what"], "already");
    team.stage.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_sleeps_wakes_and_shuts_down_as_it_is_told_over_the_broadcast() {
    sleeps_and_wakes(Way::Broadcast).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_sleeps_wakes_and_shuts_down_as_it_is_told_over_its_websocket() {
    sleeps_and_wakes(Way::WebSocket).await;
}

/// What runs finishes first: it is shown as requested until then, no new run is given, and what was asked may be taken back.
async fn finishes_first(way: Way) {
    let team = Team::of(1, way).await;
    let worker = team.start_worker("worker1");
    team.settled(0, WorkerStateName::Awake).await;
    let (long, gate) = team.gated("long").await;
    let first = team.stage.due(&long).await;
    team.started(&first).await;
    team.request("restart", false, "worker1").await;
    let draining = |worker: &WorkerInfo| worker.state == WorkerStateName::Draining && is_asked(worker);
    team.see(0, "a worker that finishes what it has", draining).await;
    let hello = team.job("hello", "echo hello").await;
    let second = team.stage.due(&hello).await;
    team.waits(&hello, "every worker of the pool sleeps, leaves or has left").await;
    // Taken back, and asked again.
    team.request("wake", false, "worker1").await;
    assert_eq!(team.over(&second).await.return_success, Some(true));
    team.settled(0, WorkerStateName::Awake).await;
    team.request("restart", false, "worker1").await;
    team.see(0, "a worker that finishes what it has", draining).await;
    gate.open().await;
    assert_eq!(end(worker).await, Some(RESTART));
    let run = team.over(&first).await;
    assert_eq!((run.return_success, run.attempt.0), (Some(true), 1));
    let offline = team.settled(0, WorkerStateName::Offline).await;
    assert_eq!(offline.request.and_then(|request| request.end).as_deref(), Some("confirmed"));
    // It comes back, and is not asked again.
    let worker = team.start_worker("worker1");
    team.settled(0, WorkerStateName::Awake).await;
    let third = team.stage.due(&hello).await;
    assert_eq!(team.over(&third).await.return_success, Some(true));
    team.request("shutdown", false, "worker1").await;
    assert_eq!(end(worker).await, Some(0));
    team.stage.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_finishes_before_a_restart_over_the_broadcast() {
    finishes_first(Way::Broadcast).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_finishes_before_a_restart_over_the_websocket() {
    finishes_first(Way::WebSocket).await;
}

/// What runs is stopped and given back: another worker takes it, nothing is judged, and no two executions overlap.
async fn gives_back(way: Way) {
    let team = Team::of(2, way).await;
    let first = team.start_worker("worker1");
    team.settled(0, WorkerStateName::Awake).await;
    let (job, pid) = team.stubborn("job").await;
    let run = team.stage.due(&job).await;
    let started = team.started(&run).await;
    assert_eq!(started.worker, Some(team.stage.worker(0)));
    let second = team.start_worker("worker2");
    team.settled(1, WorkerStateName::Awake).await;
    team.request("restart", true, "worker1").await;
    let over = team.over(&run).await;
    assert!(!is_alive(&pid), "the second execution began while the first was alive");
    assert_eq!(end(first).await, Some(RESTART));
    assert_eq!((over.return_success, over.worker), (Some(true), Some(team.stage.worker(1))));
    assert_eq!((over.attempt.0, over.losses), (2, 0), "under the next attempt, and nothing was lost");
    assert_eq!(team.stage.log(run.id).await, "again\n");
    let job = team.stage.store().job(job.id).await.unwrap().unwrap();
    assert_eq!(job.fail_times, 0);
    let reasons = team.stage.reasons(&job).await;
    assert!(reasons.iter().any(|reason| reason.contains("gave back attempt 1")), "{reasons:?}");
    assert_eq!(team.stage.late_results(run.id), 0);
    team.request("shutdown", false, "worker2").await;
    assert_eq!(end(second).await, Some(0));
    team.stage.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_is_given_back_at_once_over_the_broadcast() {
    gives_back(Way::Broadcast).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_is_given_back_at_once_over_the_websocket() {
    gives_back(Way::WebSocket).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_sleeps_at_once_keeps_what_ended_by_itself() {
    let team = Team::of(2, Way::Broadcast).await;
    let worker = team.start_worker("worker1");
    team.settled(0, WorkerStateName::Awake).await;
    let quick = team.job("quick", "exit 3").await;
    let failed = team.over(&team.stage.due(&quick).await).await;
    let (job, pid) = team.stubborn("job").await;
    let run = team.stage.due(&job).await;
    team.started(&run).await;
    team.request("sleep", true, "worker1").await;
    team.settled(0, WorkerStateName::Asleep).await;
    assert!(!is_alive(&pid));
    let given_back = team.until_run(&run, "a run that is given back", |run| run.state() == RunState::Scheduled).await;
    assert_eq!((given_back.worker, given_back.pid, given_back.losses), (None, None, 0));
    assert_eq!((failed.return_success, failed.exit), (Some(false), Some(RunExit::Code(3))));
    assert_eq!(team.act("sleep", true, &["worker1"]).await[0]["what"], "already");
    team.request("wake", false, "worker1").await;
    assert_eq!(team.over(&run).await.attempt.0, 2);
    worker.signal(Signal::SIGTERM);
    assert_eq!(end(worker).await, Some(0));
    team.settled(0, WorkerStateName::Offline).await;
    team.stage.fixture.stop().await;
}

/// The worker dies while the run is being stopped, the server is away meanwhile: the run is given back all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_are_given_back_even_if_the_worker_dies_before_reporting_it() {
    let mut team = Team::of(2, Way::Broadcast).await;
    let patient = [("kill_grace", "20".to_owned()), ("restart_exit_code", RESTART.to_string())];
    let first = team.start_worker_with("worker1", &patient);
    team.settled(0, WorkerStateName::Awake).await;
    let (pid, termed) = (team.path("pid"), Gate::new(team.path("termed")));
    let (gate, shown) = (Gate::new(team.path("gate")), pid.display());
    // Told to end, it says so and takes its time.
    let script = format!(
        "{}\ntrap 'echo TERM > {}; cat {} > /dev/null; exit 0' TERM\necho $$ > {shown}\n\
         while :; do read line < {}; done",
        again(&pid),
        termed.0.display(),
        gate.0.display(),
        Gate::new(team.path("never")).0.display()
    );
    let job = team.job("job", &script).await;
    let run = team.stage.due(&job).await;
    team.started(&run).await;
    team.request("shutdown", true, "worker1").await;
    let heard = termed.0.clone();
    tokio::task::spawn_blocking(move || std::fs::read(heard).expect("what the script says")).await.expect("TERM");
    crash(first).await;
    assert!(is_alive(&pid));
    team.stage = team.stage.restart().await;
    assert_eq!(team.stage.run(run.id).await.state(), RunState::Started);
    // The script ends after its worker and before the next.
    gate.open().await;
    let second = team.start_worker("worker2");
    let first = team.start_worker_with("worker1", &patient);
    assert_eq!(end(first).await, Some(0), "what was asked of it holds");
    let over = team.over(&run).await;
    assert_eq!((over.return_success, over.attempt.0, over.losses), (Some(true), 2, 0));
    assert_eq!(over.worker, Some(team.stage.worker(1)));
    assert_eq!(team.stage.log(run.id).await, "again\n");
    team.settled(0, WorkerStateName::Offline).await;
    team.request("shutdown", false, "worker2").await;
    assert_eq!(end(second).await, Some(0));
    team.stage.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sleep_survives_a_restart_of_either_side_and_what_nobody_understands_is_sleep() {
    let mut team = Team::of(1, Way::Broadcast).await;
    let worker = team.start_worker("worker1");
    team.settled(0, WorkerStateName::Awake).await;
    team.request("sleep", false, "worker1").await;
    team.settled(0, WorkerStateName::Asleep).await;
    crash(worker).await;
    team.stage = team.stage.restart().await;
    assert_eq!(team.settled(0, WorkerStateName::Asleep).await.state, WorkerStateName::Asleep);
    let worker = team.start_worker("worker1");
    let job = team.job("hello", "echo hello").await;
    let run = team.stage.due(&job).await;
    let answered = team.stage.store().worker(team.stage.worker(0)).await.unwrap().unwrap().heard_dts;
    let heard = |worker: &WorkerInfo| worker.state == WorkerStateName::Asleep;
    team.see(0, "a worker that is asleep", heard).await;
    let id = team.stage.worker(0);
    team.stage
        .until("another word of the worker", async |store| {
            store.worker(id).await.unwrap().filter(|worker| worker.heard_dts > answered)
        })
        .await;
    assert_eq!(team.stage.run(run.id).await.state(), RunState::Scheduled);
    worker.signal(Signal::SIGTERM);
    assert_eq!(end(worker).await, Some(0));

    std::fs::write(team.path("worker1.state/worker1/conduct"), "{\"v\":9}").expect("a file");
    let worker = team.start_worker("worker1");
    team.settled(0, WorkerStateName::Asleep).await;
    team.request("wake", false, "worker1").await;
    assert_eq!(team.over(&run).await.return_success, Some(true));
    worker.signal(Signal::SIGTERM);
    assert_eq!(end(worker).await, Some(0));
    team.stage.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_waits_for_runs_survives_a_crash_of_either_side() {
    let mut team = Team::of(1, Way::Broadcast).await;
    let worker = team.start_worker("worker1");
    team.settled(0, WorkerStateName::Awake).await;
    let (long, gate) = team.gated("long").await;
    let run = team.stage.due(&long).await;
    team.started(&run).await;
    team.request("restart", false, "worker1").await;
    let draining = |worker: &WorkerInfo| worker.state == WorkerStateName::Draining && is_asked(worker);
    team.see(0, "a worker that finishes what it has", draining).await;
    crash(worker).await;
    team.stage = team.stage.restart().await;
    let worker = team.start_worker("worker1");
    let hello = team.job("hello", "echo hello").await;
    let other = team.stage.due(&hello).await;
    team.waits(&hello, "every worker of the pool sleeps, leaves or has left").await;
    team.see(0, "a worker that finishes what it has", draining).await;
    gate.open().await;
    assert_eq!(end(worker).await, Some(RESTART));
    let over = team.over(&run).await;
    assert_eq!((over.return_success, over.attempt.0), (Some(true), 1));
    assert_eq!(team.stage.run(other.id).await.state(), RunState::Scheduled);
    team.settled(0, WorkerStateName::Offline).await;
    team.stage.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sleeping_worker_asks_by_itself_whether_to_wake_up() {
    let team = Team::of(1, Way::Nothing).await;
    let worker = team.start_worker("worker1");
    team.settled(0, WorkerStateName::Awake).await;
    let told = tell("worker1", team.folder.path(), "--sleep");
    assert_eq!((told.status.code(), String::from_utf8_lossy(&told.stdout).trim()), (Some(0), "the worker is asleep"));
    team.settled(0, WorkerStateName::Asleep).await;
    team.request("wake", false, "worker1").await;
    // Nobody can call it. It asks every 30 seconds; a wait for it has 60.
    let id = team.stage.worker(0);
    let awake = async {
        let mut news = team.stage.fixture.app_state().changes().subscribe();
        loop {
            let worker = team.stage.store().worker(id).await.unwrap().unwrap();
            if worker.open_request().is_none()
                && worker.report.is_some_and(|r| r.duty == jobrunner::run::WorkerState::Awake)
            {
                return;
            }
            news.next().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), awake).await.expect("a worker that asks");
    worker.signal(Signal::SIGTERM);
    assert_eq!(end(worker).await, Some(0));
    team.stage.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_put_to_sleep_and_woken_up_on_its_own_machine() {
    let team = Team::of(1, Way::WebSocket).await;
    let folder = team.folder.path();
    let worker = team.start_worker("worker1");
    team.settled(0, WorkerStateName::Awake).await;
    let (long, gate) = team.gated("long").await;
    let run = team.stage.due(&long).await;
    team.started(&run).await;
    let told = tell("worker1", folder, "--sleep");
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    assert_eq!((told.status.code(), said.trim()), (Some(0), "the worker sleeps when its 1 run(s) are over"));
    team.settled(0, WorkerStateName::Draining).await;
    gate.open().await;
    assert_eq!(team.over(&run).await.return_success, Some(true));
    team.settled(0, WorkerStateName::Asleep).await;
    assert_eq!(tell("worker1", folder, "--wake").status.code(), Some(0));
    team.settled(0, WorkerStateName::Awake).await;
    worker.signal(Signal::SIGTERM);
    assert_eq!(end(worker).await, Some(0));
    assert_eq!(tell("worker1", folder, "--sleep").status.code(), Some(69), "nobody is there");
    team.stage.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_to_several_workers_names_those_that_cannot_with_the_reason() {
    let team = Team::of(3, Way::Broadcast).await;
    let workers = [team.start_worker("worker1"), team.start_worker_with("worker2", &[])];
    team.settled(0, WorkerStateName::Awake).await;
    let plain = team.settled(1, WorkerStateName::Awake).await;
    let offered: Vec<_> = plain.actions.iter().map(|action| action.word()).collect();
    assert_eq!(offered, ["shutdown", "sleep", "wake"], "without a code there is no restart");
    // One that answers as the original does.
    team.stage.answer(2, 1).await;
    let id = team.stage.worker(2);
    let original = jobrunner::server::store::AnswerKind::Original;
    let answer = jobrunner::server::store::WorkerAnswer { kind: original, ..Default::default() };
    team.stage.store().record_status(id, &answer, chrono::Utc::now()).await.unwrap();
    let acted = team.act("restart", true, &["worker1", "worker2", "worker3", "nobody"]).await;
    let what: Vec<_> = acted.iter().map(|acted| acted["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["requested", "refused", "refused", "refused"]);
    let errors: Vec<_> = acted.iter().skip(1).map(|acted| acted["error"].as_str().unwrap()).collect();
    assert_eq!(
        errors,
        [
            "worker worker2 cannot restart: restart_exit_code is not set there",
            "worker worker3 is of the original kind or too old: it cannot restart",
            "there is no worker \"nobody\"",
        ]
    );
    let [first, second] = workers;
    assert_eq!(end(first).await, Some(RESTART));
    let acted = team.act("sleep", false, &["worker2", &team.stage.worker(0).to_string()]).await;
    assert_eq!((&acted[0]["what"], &acted[1]["what"]), (&json!("requested"), &json!("requested")));
    team.settled(1, WorkerStateName::Asleep).await;
    // Asked while it was away, it sleeps when it comes back.
    let first = team.start_worker("worker1");
    team.settled(0, WorkerStateName::Asleep).await;
    for worker in [first, second] {
        worker.signal(Signal::SIGTERM);
        assert_eq!(end(worker).await, Some(0));
    }
    team.stage.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requesting_the_present_state_cancels_an_unheard_request() {
    let team = Team::of(1, Way::Nothing).await;
    let worker = team.start_worker("worker1");
    team.settled(0, WorkerStateName::Awake).await;
    team.request("sleep", false, "worker1").await;
    let acted = team.act("wake", false, &["worker1"]).await;
    assert_eq!(acted[0]["what"], "cancelled");
    let request = &acted[0]["worker"]["request"];
    assert_eq!((&request["action"], &request["end"]), (&json!("sleep"), &json!("cancelled")));
    assert_eq!(team.act("wake", false, &["worker1"]).await[0]["what"], "already");
    worker.signal(Signal::SIGTERM);
    assert_eq!(end(worker).await, Some(0));
    team.stage.fixture.stop().await;
}

/// As it was released, Python 2.7 and all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_original_worker_gets_only_fields_that_it_knows() {
    let Some(peer) = tokio::task::spawn_blocking(Peer::installed).await.expect("an answer") else {
        return skip("no Python 2.7, so the original worker is asked nothing");
    };
    let team = Team::of(1, Way::Broadcast).await;
    let mut orders = team.stage.fixture.app_state().orders.carry();
    let place = Place::of(&team.stage.fixture);
    let worker = start_worker_with(Make::Original(peer), place, "worker1", 1, team.folder.path(), &[]);
    let there = team.settled(0, WorkerStateName::Awake).await;
    assert!(there.actions.is_empty() && there.version.is_some() && there.outbox.is_none(), "{there:?}");
    for action in ["sleep", "wake", "shutdown", "restart"] {
        let acted = team.act(action, true, &["worker1"]).await;
        assert_eq!(acted[0]["what"], "refused");
        let why = format!("worker worker1 is of the original kind or too old: it cannot {action}");
        assert_eq!(acted[0]["error"], why);
    }
    let job = team.job("hello", "echo hello").await;
    let run = team.stage.due(&job).await;
    assert_eq!(team.over(&run).await.return_success, Some(true));
    worker.signal(Signal::SIGTERM);
    end(worker).await;
    while let Ok(given) = orders.try_recv() {
        assert!(!matches!(given.order, Order::Attend), "{given:?}");
    }
    team.stage.fixture.stop().await;
}
