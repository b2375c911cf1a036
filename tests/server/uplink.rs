//! Workers that connect out: who is let in, and a worker that reaches nothing but the HTTP port.

use std::process::Stdio;
use std::time::Duration;

use chrono::Utc;
use jobrunner::run::{ApiKey, Attempt, RunId, Secret};
use jobrunner::server::model::{Run, RunExit, Worker};
use jobrunner::server::news::{Heard, Item, Listener};
use jobrunner::server::store::{NewJob, NewPool, NewProject, NewRun, NewTemplate, NewWorker};
use jobrunner::wire::{hmac, uplink};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::fixture::Fixture;
use crate::raw_socket::{RawSocket, UPGRADE};

/// Nothing in these tests takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

async fn worker(fixture: &Fixture) -> Worker {
    let api_key = ApiKey::parse("outbound").expect("a key");
    let new = NewWorker { title: "outbound".to_owned(), api_key, secret: Secret::new(b"a secret".to_vec()) };
    fixture.office().store.new_worker(&new).await.expect("a worker")
}

fn signed(worker: &Worker, path: &str) -> String {
    format!("Authorization: {}", hmac::authorization(&worker.api_key, &worker.secret, "GET", path, &[]))
}

#[tokio::test]
async fn who_is_let_in_signed_just_now_and_once() {
    let fixture = Fixture::start().await;
    let worker = worker(&fixture).await;
    let now = Utc::now().timestamp();
    let path = |ts: i64, nonce: &str| format!("/worker?{}", uplink::query(ts, nonce));
    let good = path(now, "0123456789abcdef");
    let (mine, bearer, wish) = (signed(&worker, &good), fixture.bearer(), "Job-Runner-Uplink: 1");
    let table: &[(String, Vec<&str>, u16)] = &[
        (good.clone(), vec![&mine], 426),
        (good.clone(), UPGRADE.to_vec(), 401),
        (good.clone(), [UPGRADE, &[&bearer]].concat(), 401),
        (good.clone(), [UPGRADE, &[&mine, "Origin: https://evil.example"]].concat(), 403),
        (path(now, "fedcba9876543210"), [UPGRADE, &[&mine]].concat(), 401),
        ("/worker".to_owned(), [UPGRADE, &[&mine]].concat(), 401),
        // What was refused above used nothing up.
        (good.clone(), [UPGRADE, &[&mine, wish]].concat(), 101),
        (good.clone(), [UPGRADE, &[&mine, wish]].concat(), 401),
    ];
    for (path, lines, status) in table {
        let (head, _socket) = RawSocket::ask(fixture.http(), &format!("GET {path}"), lines).await;
        assert_eq!(head.status, *status, "{path} {lines:?}");
        assert_eq!(head.text.contains("job-runner-uplink: 1"), *status == 101);
    }
    for (ts, query) in [now - 400, now + 400].map(|ts| (ts, path(ts, "00112233445566778899"))) {
        let mine = signed(&worker, &query);
        let (head, _) =
            RawSocket::ask(fixture.http(), &format!("GET {query}"), &[UPGRADE, &[&mine, wish]].concat()).await;
        assert_eq!(head.status, 401, "{ts}");
    }
    // Who does not ask for more gets orders as ever.
    let plain = path(now, "aaaaaaaaaaaaaaaaaaaa");
    let (head, _socket) =
        RawSocket::ask(fixture.http(), &format!("GET {plain}"), &[UPGRADE, &[&signed(&worker, &plain)]].concat()).await;
    assert_eq!((head.status, head.text.contains("uplink")), (101, false));
    fixture.stop().await;
}

/// A worker that reaches nothing but the HTTP port of a server.
struct Outbound {
    child: Child,
    _directory: tempfile::TempDir,
}

impl Outbound {
    fn start(fixture: &Fixture, worker: &Worker) -> Self {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let (http, at) = (fixture.http(), directory.path());
        let ini = format!(
            "[job_runner_worker]\napi_base_url = http://{http}\napi_key = {}\nsecret = a secret\n\
             ws_url = ws://{http}/worker\nws_server_hostname = 127.0.0.1\nws_server_port = 1\n\
             broadcaster_server_hostname = 127.0.0.1\nbroadcaster_server_port = 1\nlog_update_interval = 60\n\
             state_path = {}\nscript_temp_path = {}\nlog_level = debug\n",
            worker.api_key,
            at.join("state").display(),
            at.display()
        );
        std::fs::create_dir(at.join("state")).expect("a state directory");
        let path = at.join("worker.ini");
        std::fs::write(&path, ini).expect("an ini file");
        let child = Command::new(env!("CARGO_BIN_EXE_job_runner_worker"))
            .arg("--config-path")
            .arg(&path)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("a worker");
        Self { child, _directory: directory }
    }

    async fn stop(mut self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).expect("it works");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it can be told");
        let left = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it leaves").expect("an exit");
        assert!(left.success(), "{left}");
    }
}

/// A server with one worker, and what its jobs need.
struct Stage {
    fixture: Fixture,
    worker: Worker,
    template: NewJob,
    news: Listener,
}

impl Stage {
    async fn set() -> Self {
        let fixture = Fixture::start().await;
        let worker = worker(&fixture).await;
        let store = &fixture.office().store;
        let pool = NewPool { title: "pool".to_owned(), workers: vec![worker.id], ..NewPool::default() };
        let pool = store.new_pool(&pool).await.expect("a pool").id;
        let project = NewProject { title: "project".to_owned(), pools: vec![pool], ..NewProject::default() };
        let project = store.new_project(&project).await.expect("a project").id;
        let new = NewTemplate { title: "any".to_owned(), body: "{{ content|safe }}".to_owned(), project };
        let template = store.new_template(&new).await.expect("a template").id;
        let news = fixture.office().news().listen();
        Self { template: NewJob::new("job", template, pool, ""), fixture, worker, news }
    }

    /// Makes a run that is due.
    async fn submit(&self, title: &str, script: &str, run_timeout: Option<u32>) -> RunId {
        let store = &self.fixture.office().store;
        let job = NewJob { title: title.to_owned(), script: script.to_owned(), run_timeout, ..self.template.clone() };
        let job = store.new_job(&job).await.expect("a job").id;
        store.new_run(&NewRun { is_manual: true, ..NewRun::due(job, Utc::now()) }).await.expect("a run").id
    }

    /// Waits until this is told.
    async fn hear(&mut self, mut wanted: impl FnMut(Item) -> bool) {
        let heard = async {
            loop {
                match self.news.next().await {
                    Heard::Item(item) if wanted(item) => return,
                    Heard::Item(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("it is told");
    }

    async fn run(&self, run: RunId) -> Run {
        self.fixture.office().store.run(run).await.expect("an answer").expect("a run")
    }

    async fn log(&self, run: RunId) -> String {
        self.fixture.office().store.log_text(run).await.expect("an answer").unwrap_or_default()
    }
}

#[tokio::test]
async fn a_worker_with_one_way_out_works_fully_and_its_log_is_seen_as_it_is_written() {
    let mut stage = Stage::set().await;
    let outbound = Outbound::start(&stage.fixture, &stage.worker);
    let done = stage.submit("done", "#!/bin/sh\necho hällo\nexit 3\n", None).await;
    stage.hear(|item| item == Item::RunReturned(done)).await;
    let run = stage.run(done).await;
    assert_eq!((run.attempt, run.return_success, run.exit), (Attempt(1), Some(false), Some(RunExit::Code(3))));
    assert_eq!(stage.log(done).await, "hällo\n");

    // It says the next word when we have read the last, long before its log would be sent whole.
    let directory = tempfile::tempdir().expect("a temporary folder");
    let latch = directory.path().join("latch");
    nix::unistd::mkfifo(&latch, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let script = format!("#!/bin/sh\nfor word in one two three; do echo $word; cat {}; done\n", latch.display());
    let live = stage.submit("live", &script, None).await;
    for expected in ["one\n", "one\ntwo\n", "one\ntwo\nthree\n"] {
        stage.hear(|item| item == Item::RunLog(live, expected.len() as u64)).await;
        assert_eq!(stage.log(live).await, expected);
        let latch = latch.clone();
        tokio::task::spawn_blocking(move || std::fs::write(latch, "")).await.expect("a thread").expect("it waits");
    }
    stage.hear(|item| item == Item::RunReturned(live)).await;
    assert_eq!(stage.log(live).await, "one\ntwo\nthree\n");
    assert_eq!(stage.run(live).await.exit, Some(RunExit::Code(0)));

    // A kill reaches it; a job's own limit too.
    let killed = stage.submit("killed", "#!/bin/sh\nexec sleep 1000\n", None).await;
    stage.hear(|item| item == Item::RunStarted(killed)).await;
    stage.fixture.office().store.ask_kill(killed, Utc::now()).await.expect("an answer").expect("a request");
    stage.hear(|item| item == Item::RunReturned(killed)).await;
    assert_eq!(stage.run(killed).await.exit, Some(RunExit::Killed));
    let late = stage.submit("late", "#!/bin/sh\nexec sleep 1000\n", Some(1)).await;
    stage.hear(|item| item == Item::RunReturned(late)).await;
    assert_eq!(stage.run(late).await.exit, Some(RunExit::TimedOut));
    outbound.stop().await;
    stage.fixture.stop().await;
}
