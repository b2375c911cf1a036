//! Uplinks: admission of workers that connect out, and a worker that reaches only the HTTP port.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use jobrunner::run::{ApiKey, Attempt, RunId, Secret};
use jobrunner::server::domain::model::{Asker, JobId, Run, RunExit, Worker};
use jobrunner::server::domain::title::Title;
use jobrunner::server::store::changes::{Change, ChangeNotice, Subscription};
use jobrunner::server::store::{JobPatch, NewJob, NewPool, NewProject, NewRun, NewTemplate, NewWorker};
use jobrunner::wire::uplink::TellPart;
use jobrunner::wire::uplink::bundle::{Bundle, MAX_BUNDLE, unbundled};
use jobrunner::wire::{hmac, uplink};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::fixture::Fixture;
use crate::raw_socket::{Frame, RawSocket, UPGRADE, masked};

/// Nothing in these tests takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

async fn worker(fixture: &Fixture) -> Worker {
    let api_key = ApiKey::parse("outbound").expect("a key");
    let new = NewWorker { title: Title::fixed("outbound"), api_key, secret: Secret::new(b"a secret".to_vec()) };
    fixture.app_state().store.new_worker(&new).await.expect("a worker")
}

fn signed(worker: &Worker, path: &str) -> String {
    format!("Authorization: {}", hmac::authorization(&worker.api_key, &worker.secret, "GET", path, &[]))
}

#[tokio::test]
async fn an_uplink_needs_a_fresh_signature_that_was_not_used_before() {
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
        assert_eq!(head.text.contains("job-runner-uplink: 1\r\n"), *status == 101);
    }
    for (ts, query) in [now - 400, now + 400].map(|ts| (ts, path(ts, "00112233445566778899"))) {
        let mine = signed(&worker, &query);
        let (head, _) =
            RawSocket::ask(fixture.http(), &format!("GET {query}"), &[UPGRADE, &[&mine, wish]].concat()).await;
        assert_eq!(head.status, 401, "{ts}");
    }
    // The latest version that both know is spoken.
    let wishes: &[(&[&str], Option<&str>)] = &[
        (&["Job-Runner-Uplink: 1", "Job-Runner-Uplink: 2"], Some("job-runner-uplink: 2\r\n")),
        (&["Job-Runner-Uplink: 1, 2, 3"], Some("job-runner-uplink: 2\r\n")),
        (&["Job-Runner-Uplink: 3"], None),
    ];
    for (at, (wish, granted)) in wishes.iter().enumerate() {
        let path = path(now, &format!("000000000000000{at}"));
        let mine = signed(&worker, &path);
        let lines = [UPGRADE, &[mine.as_str()], wish].concat();
        let (head, _socket) = RawSocket::ask(fixture.http(), &format!("GET {path}"), &lines).await;
        assert_eq!(head.status, 101, "{wish:?}");
        assert_eq!(granted.is_some_and(|granted| head.text.contains(granted)), granted.is_some(), "{wish:?}");
        assert_eq!(head.text.contains("uplink"), granted.is_some(), "{wish:?}");
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
    /// With the WebSocket at an address, and everything else at the server's.
    fn start(fixture: &Fixture, worker: &Worker, websocket: SocketAddr) -> Self {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let (http, at) = (fixture.http(), directory.path());
        let ini = format!(
            "[job_runner_worker]\napi_base_url = http://{http}\napi_key = {}\nsecret = a secret\n\
             ws_url = ws://{websocket}/worker\nws_server_hostname = 127.0.0.1\nws_server_port = 1\n\
             broadcaster_server_hostname = 127.0.0.1\nbroadcaster_server_port = 1\nlog_update_interval = 60\nmax_log_bytes = 20000000\n\
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
    news: Subscription,
}

impl Stage {
    async fn set() -> Self {
        let fixture = Fixture::start().await;
        let worker = worker(&fixture).await;
        let store = &fixture.app_state().store;
        let pool = NewPool { workers: vec![worker.id], ..NewPool::new(Title::fixed("pool")) };
        let pool = store.new_pool(&pool).await.expect("a pool").id;
        let project = NewProject { pools: vec![pool], ..NewProject::new(Title::fixed("project")) };
        let project = store.new_project(&project).await.expect("a project").id;
        let new = NewTemplate { title: Title::fixed("any"), body: "{{ content|safe }}".to_owned(), project };
        let template = store.new_template(&new).await.expect("a template").id;
        let news = fixture.app_state().changes().subscribe();
        Self { template: NewJob::new(Title::fixed("job"), template, pool, ""), fixture, worker, news }
    }

    /// Makes a run that is due.
    async fn submit(&self, title: &str, script: &str, run_timeout: Option<u32>) -> RunId {
        let store = &self.fixture.app_state().store;
        let job = NewJob {
            title: Title::new(title).expect("a title"),
            script: script.to_owned(),
            run_timeout,
            ..self.template.clone()
        };
        let job = store.new_job(&job).await.expect("a job").id;
        store.new_run(&NewRun { is_manual: true, ..NewRun::due(job, Utc::now()) }).await.expect("a run").id
    }

    /// Waits until this is told.
    async fn hear(&mut self, mut wanted: impl FnMut(Change) -> bool) {
        let heard = async {
            loop {
                match self.news.next().await {
                    ChangeNotice::Item(item) if wanted(item) => return,
                    ChangeNotice::Item(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("it is told");
    }

    async fn run(&self, run: RunId) -> Run {
        self.fixture.app_state().store.run(run).await.expect("an answer").expect("a run")
    }

    async fn log(&self, run: RunId) -> String {
        self.fixture.app_state().store.log_text(run).await.expect("an answer").unwrap_or_default()
    }
}

#[tokio::test]
async fn a_worker_with_one_way_out_works_fully_and_its_log_is_seen_as_it_is_written() {
    let mut stage = Stage::set().await;
    let outbound = Outbound::start(&stage.fixture, &stage.worker, stage.fixture.http());
    let done = stage.submit("done", "#!/bin/sh\necho hällo\nexit 3\n", None).await;
    stage.hear(|item| item == Change::RunReturned(done)).await;
    let run = stage.run(done).await;
    assert_eq!((run.attempt, run.return_success, run.exit), (Attempt(1), Some(false), Some(RunExit::Code(3))));
    assert_eq!(stage.log(done).await, "hällo\n");

    // It says the next word when we have read the last, long before its log would be sent whole.
    let latch = Latch::new();
    let script = format!("#!/bin/sh\nfor word in one two three; do echo $word; cat {}; done\n", latch.path.display());
    let live = stage.submit("live", &script, None).await;
    for expected in ["one\n", "one\ntwo\n", "one\ntwo\nthree\n"] {
        stage.hear(|item| item == Change::RunLog(live, expected.len() as u64)).await;
        assert_eq!(stage.log(live).await, expected);
        latch.open().await;
    }
    stage.hear(|item| item == Change::RunReturned(live)).await;
    assert_eq!(stage.log(live).await, "one\ntwo\nthree\n");
    assert_eq!(stage.run(live).await.exit, Some(RunExit::Code(0)));

    // A kill reaches it; a job's own limit too.
    let killed = stage.submit("killed", "#!/bin/sh\nexec sleep 1000\n", None).await;
    stage.hear(|item| item == Change::RunStarted(killed)).await;
    stage
        .fixture
        .app_state()
        .store
        .end_run(killed, Asker::Client, Utc::now())
        .await
        .expect("an answer")
        .expect("a request");
    stage.hear(|item| item == Change::RunReturned(killed)).await;
    assert_eq!(stage.run(killed).await.exit, Some(RunExit::Killed));
    let late = stage.submit("late", "#!/bin/sh\nexec sleep 1000\n", Some(1)).await;
    stage.hear(|item| item == Change::RunReturned(late)).await;
    assert_eq!(stage.run(late).await.exit, Some(RunExit::TimedOut));

    // Of a long log nothing is left out, and what the worker has to say stands behind it.
    let script = "#!/bin/sh\nseq 400000\nprintf end\nexec sleep 1000\n";
    let long = stage.submit("long", script, Some(2)).await;
    stage.hear(|item| item == Change::RunReturned(long)).await;
    let (log, expected) = (stage.log(long).await, (1..=400_000).map(|line| format!("{line}\n")).collect::<String>());
    let note = log.strip_prefix(&format!("{expected}end\n"));
    assert!(
        note.is_some_and(|note| note.contains("The job was stopped")),
        "{} bytes, then {:?}",
        log.len(),
        &log[log.len() - 200..]
    );
    let extent = stage.fixture.app_state().store.log_extent(long).await.expect("an answer").expect("a log");
    assert_eq!(extent.revision, 0, "it was never sent a second time");
    outbound.stop().await;
    stage.fixture.stop().await;
}

/// A pipe at which a script waits until it is opened.
struct Latch {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Latch {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let path = directory.path().join("latch");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        Self { path, _directory: directory }
    }

    /// Lets the script go on that waits, or will.
    async fn open(&self) {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || std::fs::write(path, "")).await.expect("a thread").expect("it waits");
    }
}

/// What stands between a worker and its WebSocket, and can be taken away.
async fn relay(to: SocketAddr) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (address, cut) = (listener.local_addr().expect("an address"), CancellationToken::new());
    let stop = cut.clone();
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            // One at a time: it has one client.
            let Ok(mut far) = TcpStream::connect(to).await else { return };
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        }
    }));
    (address, cut)
}

#[tokio::test]
async fn messages_too_long_for_the_uplink_go_over_http_once() {
    let mut stage = Stage::set().await;
    let (through, cut) = relay(stage.fixture.http()).await;
    let outbound = Outbound::start(&stage.fixture, &stage.worker, through);
    let latch = Latch::new();
    let script = format!("#!/bin/sh\necho begun\ncat {}\necho done\n", latch.path.display());
    let run = stage.submit("cut", &script, None).await;
    stage.hear(|item| item == Change::RunLog(run, 6)).await;
    cut.cancel();
    latch.open().await;
    let mut returned = 0;
    stage
        .hear(|item| {
            returned += usize::from(item == Change::RunReturned(run));
            returned > 0
        })
        .await;
    let found = stage.run(run).await;
    assert_eq!((found.attempt, found.exit), (Attempt(1), Some(RunExit::Code(0))));
    assert_eq!(stage.log(run).await, "begun\ndone\n");
    outbound.stop().await;
    stage.fixture.stop().await;
}

/// The answer to a call over a socket.
async fn call(socket: &mut RawSocket, head: uplink::CallHead, body: &[u8]) -> (u16, Vec<u8>) {
    socket.send(&masked(0x82, &uplink::message(&head, body))).await;
    loop {
        let Frame::Binary(message) = socket.frame().await else { continue };
        let (answer, body) = uplink::parts(&message);
        // Orders come too.
        let Ok(answer) = serde_json::from_slice::<uplink::AnswerHead>(answer) else { continue };
        assert_eq!(answer.answer, head.call);
        return (answer.status, body.to_vec());
    }
}

#[tokio::test]
async fn an_uplink_has_exactly_the_rights_of_its_worker() {
    let stage = Stage::set().await;
    let store = &stage.fixture.app_state().store;
    let api_key = ApiKey::parse("stranger").expect("a key");
    let new = NewWorker { title: Title::fixed("stranger"), api_key, secret: Secret::new(b"another secret".to_vec()) };
    let stranger = store.new_worker(&new).await.expect("a worker");
    let run = stage.submit("job", "#!/bin/sh\n", None).await;
    let connect = async |worker: &Worker, nonce: &str| {
        let path = format!("/worker?{}", uplink::query(Utc::now().timestamp(), nonce));
        RawSocket::open(stage.fixture.http(), &path, &[&signed(worker, &path), "Job-Runner-Uplink: 1"]).await
    };
    let get = |path: &str| uplink::CallHead {
        call: 1,
        method: "GET".to_owned(),
        path: path.to_owned(),
        attempt: None,
        from: None,
    };
    let path = format!("/api/v1/run/{run}/");
    let (mut mine, mut theirs) =
        (connect(&stage.worker, "0000000000000001").await, connect(&stranger, "0000000000000002").await);
    let (status, body) = call(&mut mine, get(&path), &[]).await;
    assert_eq!((status, body.first()), (200, Some(&b'{')));
    assert_eq!(call(&mut theirs, get(&path), &[]).await.0, 401, "not of its pool");
    let append = |from| uplink::CallHead { method: uplink::APPEND.to_owned(), from: Some(from), ..get(&path) };
    assert_eq!(call(&mut theirs, append(0), b"x").await.0, 409, "nobody has claimed it");
    let uri = format!("/api/v1/worker/{}/", stage.worker.id);
    let claim = format!(r#"{{"enqueue_dts": "2026-11-24T10:00:00+00:00", "worker": "{uri}"}}"#);
    let patch = uplink::CallHead { method: "PATCH".to_owned(), ..get(&path) };
    assert_eq!(call(&mut mine, patch, claim.as_bytes()).await.0, 202);
    assert_eq!(call(&mut theirs, append(0), b"x").await.0, 401, "it is another's");
    assert_eq!(call(&mut mine, append(0), b"one").await.0, 200);
    assert_eq!(call(&mut mine, append(0), b"one").await.0, uplink::ELSEWHERE, "said twice is kept once");
    assert_eq!(call(&mut mine, append(3), b"\xff").await.0, 400);
    assert_eq!(call(&mut mine, append(3), b" two").await.0, 200);
    let old = uplink::CallHead { attempt: Some(9), ..append(7) };
    assert_eq!(call(&mut mine, old, b" three").await.0, 409);
    assert_eq!(stage.log(run).await, "one two");
    mine.send(&masked(0x81, b"{}")).await;
    assert_eq!(mine.closed().await, Some(1003));
    theirs.send(&masked(0x82, b"{}")).await;
    assert_eq!(theirs.closed().await, Some(1008));
    stage.fixture.stop().await;
}

const BOTH: &[&str] = &["Job-Runner-Uplink: 1", "Job-Runner-Uplink: 2"];

/// Opens an uplink of version 2.
async fn open_second(stage: &Stage, worker: &Worker, nonce: &str) -> RawSocket {
    let path = format!("/worker?{}", uplink::query(Utc::now().timestamp(), nonce));
    let mine = signed(worker, &path);
    RawSocket::open(stage.fixture.http(), &path, &[&[mine.as_str()], BOTH].concat()).await
}

fn call_head(call: u64, method: &str, path: &str) -> uplink::CallHead {
    uplink::CallHead { call, method: method.to_owned(), path: path.to_owned(), attempt: None, from: None }
}

fn bundled(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut bundle = Bundle::of(messages[0].clone(), uplink::MAX_UP);
    messages[1..].iter().for_each(|message| bundle.push(message.clone()));
    bundle.encode()
}

/// The answers to as many calls, by their numbers, however they are bundled.
async fn answers(socket: &mut RawSocket, count: usize) -> BTreeMap<u64, uplink::AnswerHead> {
    let mut answers = BTreeMap::new();
    while answers.len() < count {
        let Frame::Binary(message) = socket.frame().await else { continue };
        for message in unbundled(&message).expect("a good bundle") {
            if let Ok(answer) = serde_json::from_slice::<uplink::AnswerHead>(uplink::parts(message).0) {
                answers.insert(answer.answer, answer);
            }
        }
    }
    answers
}

#[tokio::test]
async fn the_calls_of_a_bundle_are_all_answered_and_a_bundle_that_is_none_ends_the_connection() {
    let stage = Stage::set().await;
    let run = stage.submit("job", "#!/bin/sh\n", None).await;
    let path = format!("/api/v1/run/{run}/");
    let mut socket = open_second(&stage, &stage.worker, "0000000000000001").await;
    let paths = [path.as_str(), "/api/v1/worker/", "/api/v1/nowhere/", "/api/v1/run/9999/"];
    let calls: Vec<Vec<u8>> =
        (1..).zip(paths).map(|(call, path)| uplink::message(&call_head(call, "GET", path), &[])).collect();
    socket.send(&masked(0x82, &bundled(&calls))).await;
    let found = answers(&mut socket, calls.len()).await;
    assert_eq!(found.values().map(|answer| answer.status).collect::<Vec<_>>(), [200, 200, 404, 404]);
    let one = &calls[0];
    let nested = bundled(&[bundled(&[one.clone(), one.clone()]), one.clone()]);
    let short = [bundled(&[one.clone(), one.clone()]), b"more".to_vec()].concat();
    let many = bundled(&vec![one.clone(); MAX_BUNDLE + 1]);
    let wrong = bundled(&[one.clone(), b"{}".to_vec()]);
    for (nonce, bad) in (10..).zip([nested, short, many, wrong]) {
        let mut socket = open_second(&stage, &stage.worker, &format!("00000000000000{nonce}")).await;
        socket.send(&masked(0x82, &bad)).await;
        assert_eq!(socket.closed().await, Some(1008), "{}", bad.escape_ascii());
    }
    stage.fixture.stop().await;
}

#[tokio::test]
async fn bundles_and_tells_are_unknown_to_version_1() {
    let stage = Stage::set().await;
    let run = stage.submit("job", "#!/bin/sh\n", None).await;
    let path = format!("/worker?{}", uplink::query(Utc::now().timestamp(), "0000000000000001"));
    let mine = signed(&stage.worker, &path);
    let mut socket = RawSocket::open(stage.fixture.http(), &path, &[&mine, "Job-Runner-Uplink: 1"]).await;
    let tell = call_head(1, uplink::TELL, &format!("/api/v1/run/{run}/"));
    assert_eq!(call(&mut socket, tell.clone(), b"{}").await.0, 405);
    let message = uplink::message(&tell, b"{}");
    socket.send(&masked(0x82, &bundled(&[message.clone(), message]))).await;
    assert_eq!(socket.closed().await, Some(1008));
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_tell_says_all_of_a_run_in_one_call_and_repeated_it_is_accepted_again() {
    let mut stage = Stage::set().await;
    let run = stage.submit("job", "#!/bin/sh\n", None).await;
    let path = format!("/api/v1/run/{run}/");
    let mut socket = open_second(&stage, &stage.worker, "0000000000000001").await;
    let tell = |call: u64, from: Option<u64>| uplink::CallHead {
        attempt: Some(1),
        from,
        ..call_head(call, uplink::TELL, &path)
    };
    let everything = b"{\"start_dts\":\"2026-11-24T10:00:01+00:00\",\"pid\":7,\
        \"return_dts\":\"2026-11-24T10:00:02+00:00\",\"return_success\":false,\"exit_code\":3}\nh\xc3\xa4llo\n";
    assert_eq!(call(&mut socket, tell(1, Some(0)), everything).await.0, 409, "nobody has claimed it");
    let claim =
        format!(r#"{{"enqueue_dts": "2026-11-24T10:00:00+00:00", "worker": "/api/v1/worker/{}/"}}"#, stage.worker.id);
    assert_eq!(call(&mut socket, tell(2, None), claim.as_bytes()).await.0, 400, "a tell claims nothing");
    assert_eq!(call(&mut socket, call_head(3, "PATCH", &path), claim.as_bytes()).await.0, 202);
    for (malformed, from, status) in [
        (&b"{}\ntext"[..], None, 400),
        (b"{}\n\xff", Some(0), 400),
        (b"[]\n", None, 500),
        (b"text", Some(0), 500),
        (b"{\"pid\": []}", None, 500),
    ] {
        assert_eq!(call(&mut socket, tell(4, from), malformed).await.0, status, "{}", malformed.escape_ascii());
    }
    socket.send(&masked(0x82, &uplink::message(&tell(5, Some(3)), everything))).await;
    let refused = answers(&mut socket, 1).await.remove(&5).expect("an answer");
    assert_eq!((refused.status, refused.refused), (uplink::ELSEWHERE, Some(TellPart::Log)));
    let begun = stage.run(run).await;
    assert!(begun.start_dts.is_some() && begun.return_dts.is_none(), "what came before the refused part is kept");
    let before = uplink::CallHead { attempt: Some(9), ..tell(6, Some(0)) };
    assert_eq!(call(&mut socket, before, everything).await.0, 409);
    // The second time as after an answer that was lost.
    for number in [7, 8] {
        socket.send(&masked(0x82, &uplink::message(&tell(number, Some(0)), everything))).await;
        let answer = answers(&mut socket, 1).await.remove(&number).expect("an answer");
        assert_eq!((answer.status, answer.refused), (202, None));
        assert!(answer.location.is_some_and(|to| to.starts_with("/api/v1/run_log/")));
    }
    stage.hear(|item| item == Change::RunReturned(run)).await;
    let told = stage.run(run).await;
    assert_eq!((told.pid, told.return_success, told.exit), (Some(7), Some(false), Some(RunExit::Code(3))));
    assert_eq!(stage.log(run).await, "hällo\n");
    let stranger = ApiKey::parse("stranger").expect("a key");
    let new = NewWorker { title: Title::fixed("s"), api_key: stranger, secret: Secret::new(b"another".to_vec()) };
    let stranger = stage.fixture.app_state().store.new_worker(&new).await.expect("a worker");
    let mut theirs = open_second(&stage, &stranger, "0000000000000002").await;
    assert_eq!(call(&mut theirs, tell(1, Some(0)), everything).await.0, 401, "not of its pool");
    let nowhere = uplink::CallHead { path: "/api/v1/run/9999/".to_owned(), ..tell(9, Some(0)) };
    assert_eq!(call(&mut socket, nowhere, everything).await.0, 404);
    let no_run = uplink::CallHead { path: "/api/v1/job/1/".to_owned(), ..tell(10, Some(0)) };
    assert_eq!(call(&mut socket, no_run, everything).await.0, 404);
    stage.fixture.stop().await;
}

/// What stands between a worker and its WebSocket, and reads what the server says, which is in the clear.
struct Listener {
    address: SocketAddr,
    said: Arc<Mutex<Vec<u8>>>,
    _stop: DropGuard,
}

impl Listener {
    /// Passes on each upgrade without a line, if one is named.
    async fn between(to: SocketAddr, without: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (address, said) = (listener.local_addr().expect("an address"), Arc::new(Mutex::new(Vec::new())));
        let (stop, heard) = (CancellationToken::new(), Arc::clone(&said));
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = TcpStream::connect(to).await.expect("the server");
                let mut upgrade = Vec::new();
                while !upgrade.ends_with(b"\r\n\r\n") && near.read_buf(&mut upgrade).await.is_ok_and(|read| read > 0) {}
                let upgrade = String::from_utf8(upgrade).expect("a head is ASCII");
                let upgrade = without.map_or(upgrade.clone(), |line| upgrade.replace(line, ""));
                far.write_all(upgrade.as_bytes()).await.expect("it is taken");
                let (mut near_reads, mut near_writes) = near.into_split();
                let (mut far_reads, mut far_writes) = far.into_split();
                let down = async {
                    let mut buffer = vec![0; 64 * 1024];
                    while let Ok(read @ 1..) = far_reads.read(&mut buffer).await {
                        heard.lock().expect("a lock").extend_from_slice(&buffer[..read]);
                        if near_writes.write_all(&buffer[..read]).await.is_err() {
                            return;
                        }
                    }
                };
                tokio::select! {
                    () = down => {}
                    _ = tokio::io::copy(&mut near_reads, &mut far_writes) => {}
                }
            }
        }));
        Self { address, said, _stop: stop.drop_guard() }
    }

    /// How often the server has said this.
    fn times(&self, text: &str) -> usize {
        let said = self.said.lock().expect("a lock");
        said.windows(text.len()).filter(|bytes| *bytes == text.as_bytes()).count()
    }
}

impl Stage {
    async fn again(&self, job: JobId) -> RunId {
        let new = NewRun { is_manual: true, ..NewRun::due(job, Utc::now()) };
        self.fixture.app_state().store.new_run(&new).await.expect("a run").id
    }

    /// Waits for the end of a run, and returns its log.
    async fn log_of(&mut self, run: RunId) -> String {
        self.hear(|item| item == Change::RunReturned(run)).await;
        self.log(run).await
    }
}

#[tokio::test]
async fn a_script_is_sent_once_for_each_version_of_its_job() {
    let mut stage = Stage::set().await;
    let listener = Listener::between(stage.fixture.http(), None).await;
    let outbound = Outbound::start(&stage.fixture, &stage.worker, listener.address);
    let first = stage.submit("job", "#!/bin/sh\necho the first text\n", None).await;
    let job = stage.run(first).await.job;
    assert_eq!(stage.log_of(first).await, "the first text\n");
    for _ in 0..3 {
        let run = stage.again(job).await;
        assert_eq!(stage.log_of(run).await, "the first text\n");
    }
    assert_eq!(listener.times("echo the first text"), 1);
    let patch = JobPatch { script: Some("#!/bin/sh\necho another text\n".to_owned()), ..JobPatch::default() };
    stage.fixture.app_state().store.change_job(job, &patch).await.expect("a change");
    for _ in 0..2 {
        let run = stage.again(job).await;
        assert_eq!(stage.log_of(run).await, "another text\n");
    }
    assert_eq!((listener.times("echo the first text"), listener.times("echo another text")), (1, 1));
    assert_eq!(listener.times("job-runner-uplink: 2"), 1);
    outbound.stop().await;
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_worker_works_as_before_with_a_server_that_knows_version_1_alone() {
    let mut stage = Stage::set().await;
    let listener = Listener::between(stage.fixture.http(), Some("job-runner-uplink: 2\r\n")).await;
    let outbound = Outbound::start(&stage.fixture, &stage.worker, listener.address);
    let first = stage.submit("job", "#!/bin/sh\necho a text\nexit 3\n", None).await;
    let job = stage.run(first).await.job;
    assert_eq!(stage.log_of(first).await, "a text\n");
    assert_eq!(stage.run(first).await.exit, Some(RunExit::Code(3)));
    let second = stage.again(job).await;
    assert_eq!(stage.log_of(second).await, "a text\n");
    assert_eq!(listener.times("job-runner-uplink: 1"), 1);
    assert_eq!((listener.times("bundle"), listener.times("job_version")), (0, 0));
    outbound.stop().await;
    stage.fixture.stop().await;
}
