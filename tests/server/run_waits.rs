//! Runs that wait: the reason is shown at once, on the pages and to the command that waits.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use jobrunner::run::lack::Lack;
use jobrunner::server::domain::model::RunState;
use jobrunner::server::domain::title::Title;
use jobrunner::server::domain::worker_state::held;
use jobrunner::server::store::NewPool;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};

use crate::http::ask;
use crate::process::Process;
use crate::program;
use crate::stage::Stage;
use crate::worker_process::{Make, Place, start_worker_with};

/// How long something may take before a wait for it fails.
const DEADLINE: Duration = Duration::from_secs(30);
/// More than any disk has.
const TOO_MUCH: &str = "1000000000000000000";

/// A server, its workers' files, and a directory in which an operator types.
struct Team {
    stage: Stage,
    folder: tempfile::TempDir,
    desk: program::Place,
}

impl Team {
    async fn of(workers: usize, change: impl FnOnce(&mut jobrunner::server::Settings)) -> Self {
        let desk = program::Place::new();
        desk.script("hello", "#!/bin/sh\necho hello\n");
        Self { stage: Stage::with(workers, change).await, folder: tempfile::tempdir().expect("a folder"), desk }
    }

    fn start_worker(&self, key: &str, min_free_bytes: &str) -> Process {
        let settings = [("min_free_bytes", min_free_bytes.to_owned())];
        start_worker_with(Make::Ours, Place::of(&self.stage.fixture), key, 2, self.folder.path(), &settings)
    }

    /// Asks for less room on the disk, as somebody who makes some does.
    fn make_room(&self, worker: &Process, key: &str) {
        let ini = self.folder.path().join(format!("{key}.ini"));
        let text = std::fs::read_to_string(&ini).expect("the configuration");
        std::fs::write(&ini, text.replace(TOO_MUCH, "1")).expect("the configuration");
        worker.signal(Signal::SIGHUP);
    }

    fn command(&self, args: &[&str]) -> Command {
        let url = format!("http://{}", self.stage.fixture.http());
        let token: PathBuf = self.stage.fixture.app_state().settings.data.join("operator.token");
        let at = ["--server", &url, "--token-file", token.to_str().expect("text")];
        self.desk.command(&[args, &at].concat())
    }

    async fn ask(&self, args: &[&str]) -> program::Done {
        program::finish(self.command(args).spawn().expect("the command")).await
    }

    /// `run` of a script by the stage's pool.
    fn run(&self, pool: &str) -> Running {
        let mut child = self.command(&["run", "hello", "--pool", pool]).stdout(Stdio::piped()).spawn().expect("run");
        let err = BufReader::new(child.stderr.take().expect("its complaints"));
        Running { child, err }
    }

    async fn page(&self, path: &str) -> String {
        let token = format!("Bearer {}", self.stage.fixture.app_state().token.expose());
        let answer = ask(self.stage.fixture.http(), "GET", path, &[("Authorization".to_owned(), token)], None).await;
        assert_eq!(answer.status, 200, "{path}");
        String::from_utf8(answer.body).expect("text")
    }

    async fn stop(self) {
        self.stage.fixture.stop().await;
    }
}

/// A `run` that goes on.
struct Running {
    child: Child,
    err: BufReader<ChildStderr>,
}

impl Running {
    /// The next line that it says to people.
    async fn says(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(DEADLINE, self.err.read_line(&mut line)).await.expect("a word in time");
        assert!(read.expect("its complaints") > 0, "it ended in silence");
        line.trim_end().to_owned()
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().expect("it goes on");
        kill(Pid::from_raw(pid.cast_signed()), signal).expect("it goes on");
    }

    async fn end(self) -> program::Done {
        program::finish(self.child).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_shows_at_once_that_its_workers_disk_is_full() {
    let team = Team::of(1, |_| {}).await;
    let worker = team.start_worker("worker1", TOO_MUCH);
    let mut run = team.run("pool");
    assert!(run.says().await.starts_with("job_runner: run 1 at http://"));
    // Who has never answered may be starting.
    let mut said = run.says().await;
    while !said.contains("claims no runs") {
        assert!(said.contains("run 1 waits: it was announced"), "{said}");
        said = run.says().await;
    }
    let why = "no worker of the pool takes new runs for now: worker1 claims no runs: ";
    assert!(said.starts_with(&format!("job_runner: run 1 waits: {why}")), "{said}");
    assert!(said.contains("bytes are free where state_path is"), "{said}");

    let run_1 = team.ask(&["runs", "--json"]).await.json()["runs"][0].clone();
    assert_eq!((&run_1["state"], &run_1["waits"]["reason"]), (&"scheduled".into(), &"nobody_takes".into()), "{run_1}");
    let workers = team.ask(&["workers", "--json"]).await.json();
    let lack = &workers["workers"][0]["held"][0];
    assert_eq!((&lack["what"], &lack["at"]), (&"bytes".into(), &"state_path".into()), "{workers}");
    assert!(lack["left"].as_u64().is_some_and(|left| left > 0), "{workers}");
    let workers = team.ask(&["workers"]).await;
    assert!(workers.out.contains("awake, held") && workers.err.contains("worker1 claims no runs: "), "{workers:?}");
    let job = run_1["job"].to_string();
    let told = team.ask(&["why", &job]).await;
    assert!(told.out.contains("worker worker1 claims no runs: "), "{told:?}");
    assert!(told.out.contains(&format!("waits: {why}")), "{told:?}");
    for (path, what) in
        [("/runs/1", "Waits: no worker of the pool"), ("/workers", "claims no runs: "), ("/", "claims no runs: ")]
    {
        let page = team.page(path).await;
        assert!(page.contains(what), "{path}: {page}");
    }

    team.make_room(&worker, "worker1");
    let done = run.end().await;
    assert_eq!((done.code, done.out.as_str()), (0, "hello\n"), "{done:?}");
    // Why it came late is known afterwards, too.
    let why: Value = team.ask(&["why", &job, "--json"]).await.json();
    let facts = why["facts"].to_string();
    assert!(facts.contains("worker1 claims no runs: "), "{facts}");
    let workers = team.ask(&["workers", "--json"]).await.json();
    assert_eq!(workers["workers"][0]["held"], Value::Array(Vec::new()), "{workers}");
    team.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_says_again_why_it_waits_when_the_reason_changes() {
    let team = Team::of(1, |_| {}).await;
    let _worker = team.start_worker("worker1", "1");
    team.stage
        .until("a worker that answers", async |store| store.worker(team.stage.worker(0)).await.unwrap()?.report)
        .await;
    assert_eq!(team.ask(&["workers", "sleep", "worker1"]).await.code, 0);
    let mut run = team.run("pool");
    run.says().await;
    let mut said = vec![run.says().await];
    while !said.last().is_some_and(|line| line.ends_with("worker1 sleeps")) {
        said.push(run.says().await);
    }
    assert!(said[0].contains("every worker of the pool sleeps, leaves or has left: worker1 "), "{said:?}");
    team.stage.disable_worker(0).await;
    let disabled = "job_runner: run 1 waits: no worker of the pool is enabled: worker1 is disabled";
    assert_eq!(run.says().await, disabled);
    // Ctrl-C ends the wait.
    run.signal(Signal::SIGINT);
    let done = run.end().await;
    assert_eq!(done.code, 130, "{done:?}");
    team.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_in_a_pool_without_workers_says_so() {
    let team = Team::of(0, |_| {}).await;
    let pool = NewPool::new(Title::fixed("empty"));
    team.stage.store().new_pool(&pool).await.expect("a pool");
    let mut run = team.run("empty");
    run.says().await;
    assert_eq!(run.says().await, "job_runner: run 1 waits: no worker is in the pool");
    // Who looks at it later is told, too.
    let mut logs = team.command(&["logs", "-f", "1"]).spawn().expect("logs");
    let mut err = BufReader::new(logs.stderr.take().expect("its complaints"));
    let mut line = String::new();
    tokio::time::timeout(DEADLINE, err.read_line(&mut line)).await.expect("a word in time").expect("text");
    assert_eq!(line, "job_runner: run 1 waits: no worker is in the pool\n");
    run.signal(Signal::SIGTERM);
    assert_eq!(run.end().await.code, 143);
    team.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_worker_was_never_started_says_so() {
    let team = Team::of(1, |_| {}).await;
    let mut run = team.run("pool");
    run.says().await;
    let said = run.says().await;
    assert_eq!(
        said,
        "job_runner: run 1 waits: it was announced, and nobody has claimed it yet: worker1 has never answered"
    );
    run.signal(Signal::SIGINT);
    assert_eq!(run.end().await.code, 130);
    team.stop().await;
}

/// Announcements are not repeated within this test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_at_once_to_the_worker_without_a_shortage() {
    let team = Team::of(2, |settings| settings.announce_interval = Duration::from_secs(600)).await;
    let _low = team.start_worker("worker1", TOO_MUCH);
    let low = team.stage.worker(0);
    team.stage
        .until("a worker that has too little", async |store| {
            let worker = store.worker(low).await.unwrap()?;
            matches!(held(&worker), [Lack::Bytes(key, _), ..] if key == "state_path").then_some(())
        })
        .await;
    let _good = team.start_worker("worker2", "1");
    let good = team.stage.worker(1);
    team.stage.until("a worker that answers", async |store| store.worker(good).await.unwrap()?.report).await;
    let job = team.stage.job(|_| {}).await;
    for _ in 0..3 {
        let run = team.stage.due(&job).await;
        let over = team
            .stage
            .until("the end of a run", async |store| {
                store.run(run.id).await.unwrap().filter(|run| run.state() == RunState::Completed)
            })
            .await;
        assert_eq!((over.worker, over.return_success), (Some(good), Some(true)));
    }
    team.stop().await;
}
