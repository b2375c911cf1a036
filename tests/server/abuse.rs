//! One slow or greedy peer costs the others nothing.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use jobrunner::server::domain::model::Worker;
use jobrunner::wire::{hmac, uplink};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::http::{Answer, ask};
use crate::program::JOB_RUNNER;
use crate::raw_socket::{RawSocket, UPGRADE};
use crate::signature::sign;
use crate::stage::Stage;
use crate::steady_load::Scene;

/// Nothing in these tests takes this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// A peer with good manners is served within this, whatever others do.
const SERVED: Duration = Duration::from_secs(8);

/// A server as a process, with an ordinary limit of descriptors.
struct Process {
    child: Child,
    http: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Process {
    /// With so many descriptors at once.
    async fn start(descriptors: u32) -> Self {
        let directory = tempfile::tempdir().expect("a temporary folder");
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700)).expect("ours");
        let data = directory.path().join("data");
        let ini = format!(
            "[job_runner]\ndata_path = {}\nlisten = 127.0.0.1:0\nbroadcaster_listen = 127.0.0.1:0\n\
             events_listen = 127.0.0.1:0\nlog_level = warning\n",
            data.display()
        );
        let path = directory.path().join("server.ini");
        std::fs::write(&path, ini).expect("an ini file");
        let mut child = Command::new("sh");
        child.arg("-c").arg(format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")).arg(JOB_RUNNER);
        child.args(["serve", "--config"]).arg(&path).stdin(Stdio::null()).kill_on_drop(true);
        let child = child.spawn().expect("a server");
        let told = async {
            // Where it serves it writes beside its data.
            let mut again = tokio::time::interval(Duration::from_millis(20));
            loop {
                again.tick().await;
                let Ok(address) = std::fs::read_to_string(data.join("server.lock")) else { continue };
                let address = address.trim().trim_start_matches("http://").trim_end_matches('/').parse();
                if let Ok(address) = address {
                    return address;
                }
            }
        };
        let http = tokio::time::timeout(PATIENCE, told).await.expect("it serves");
        Self { child, http, _directory: directory }
    }

    fn tell(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).expect("it works");
        kill(Pid::from_raw(pid), signal).expect("it can be told");
    }
}

/// Connections on each of which this is said, and nothing more.
async fn say(to: SocketAddr, peers: usize, what: &[u8]) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for _ in 0..peers {
        let Ok(mut stream) = TcpStream::connect(to).await else { break };
        // Who is shut out meanwhile makes room.
        let _ = stream.write_all(what).await;
        held.push(stream);
    }
    held
}

/// Somebody else asks.
async fn somebody_else(to: SocketAddr) -> Answer {
    let asked = ask(to, "GET", "/login", &[], None);
    tokio::time::timeout(SERVED, asked).await.expect("somebody else is served")
}

#[tokio::test]
async fn other_clients_are_served_while_many_send_half_a_request() {
    let server = Process::start(128).await;
    for beginning in [&b""[..], b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "] {
        let _held = say(server.http, 300, beginning).await;
        for _ in 0..3 {
            assert_eq!(somebody_else(server.http).await.status, 401);
        }
    }
}

#[tokio::test]
async fn a_stopping_server_does_not_wait_for_an_open_request() {
    let mut server = Process::start(1024).await;
    let head = "POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n\
                Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ntoken=";
    let _held = say(server.http, 3, head.as_bytes()).await;
    let _half = say(server.http, 3, b"GET / HTTP/1.1\r\n").await;
    assert_eq!(somebody_else(server.http).await.status, 401, "all of that has arrived");
    server.tell(Signal::SIGTERM);
    let ended = tokio::time::timeout(Duration::from_secs(20), server.child.wait()).await;
    assert!(ended.expect("it ends in time").expect("an exit").success());
}

#[tokio::test]
async fn an_overlong_login_is_refused_before_its_body_is_sent() {
    let stage = Stage::start(0).await;
    let http = stage.fixture.http();
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: {http}\r\nOrigin: http://{http}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000000\r\n\r\n"
    );
    let mut peer = say(http, 1, head.as_bytes()).await.pop().expect("a connection");
    let mut answer = [0; 12];
    let read = tokio::time::timeout(SERVED, peer.read_exact(&mut answer)).await;
    read.expect("an answer in time").expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 413");
    stage.fixture.stop().await;
}

fn operator(stage: &Stage) -> Vec<(String, String)> {
    vec![("Authorization".to_owned(), format!("Bearer {}", stage.fixture.app_state().token.expose()))]
}

#[tokio::test]
async fn no_filter_makes_the_store_fail() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    stage.due(&job).await;
    let (long, many, signs) = ("x".repeat(60_000), "1,".repeat(30_000) + "1", "%25".repeat(20_000));
    let nested = "job__job_template__project__";
    let lookups = ["exact", "iexact", "contains", "startswith", "endswith", "in", "range", "gt", "isnull", "year"];
    let terms: Vec<String> = lookups.iter().map(|lookup| format!("schedule_dts__{lookup}=1")).collect();
    let values = [
        &long,
        &signs,
        &many,
        "",
        "%00",
        "a%00b",
        "%ff",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "1e400",
        "NaN",
        "262143-12-31T23:59:59",
        "-262143-01-01",
        "9999-12-31T23:59:59.999999999",
        "0000-00-00",
        "2026-02-30",
        "2026-03-29T02:30:00",
        "true",
    ]
    .map(str::to_owned);
    let fields = [
        ("run", "schedule_dts"),
        ("run", "is_manual"),
        ("run", "worker"),
        ("run", "job"),
        ("worker", "api_key"),
        ("run", "worker__api_key"),
        ("run", "job__title"),
        ("job", "title"),
        ("project", "id"),
        ("run", "project_id"),
        ("run", "state"),
        ("run", "limit"),
        ("run", "offset"),
        ("run", "order_by"),
        ("job", "job_template__project"),
    ];
    for (resource, field) in fields {
        for lookup in [
            "",
            "__iexact",
            "__contains",
            "__startswith",
            "__endswith",
            "__in",
            "__range",
            "__gt",
            "__lte",
            "__isnull",
            "__year",
            "__month",
            "__day",
            "__week_day",
        ] {
            for value in &values {
                let path = format!("/api/v1/{resource}/?{field}{lookup}={value}");
                no_fault_of_ours(&stage, &path).await;
            }
        }
    }
    no_fault_of_ours(&stage, &format!("/api/v1/run/?{}", terms.join("&"))).await;
    no_fault_of_ours(&stage, &format!("/api/v1/run/?{nested}id=1&{nested}title__in={}", "a,".repeat(20_000))).await;
    for path in [
        format!("/jobs?q={long}"),
        format!("/?q={long}"),
        format!("/operator/v1/runs?job={long}"),
        "/operator/v1/runs?before=-9223372036854775808&limit=4294967295".to_owned(),
    ] {
        no_fault_of_ours(&stage, &path).await;
    }
    let path = format!("/api/v1/worker/?api_key__contains={long}");
    assert_eq!(ask(stage.fixture.http(), "GET", &path, &operator(&stage), None).await.status, 400);
    stage.fixture.stop().await;
}

async fn no_fault_of_ours(stage: &Stage, path: &str) {
    let answer = ask(stage.fixture.http(), "GET", path, &operator(stage), None).await;
    let shown = &path[..path.len().min(100)];
    assert!(answer.status < 500, "{} to {shown}: {}", answer.status, String::from_utf8_lossy(&answer.body));
}

/// A worker asks.
async fn get(stage: &Stage, path: &str) -> Value {
    let signature = sign("verysecret", "GET", path, b"");
    let headers = vec![("Authorization".to_owned(), format!("ApiKey {}:{signature}", stage.workers[0].api_key))];
    let answer = ask(stage.fixture.http(), "GET", path, &headers, None).await;
    assert_eq!(answer.status, 200, "{path}");
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[tokio::test]
async fn a_page_is_bounded_in_bytes_and_the_next_goes_on_where_it_ends() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    let text = "\"\u{2028}ä\\\u{1}\n".repeat(500_000);
    for _ in 0..4 {
        let run = stage.due(&job).await;
        stage.execute(0, run.id, true).await;
        stage.write_log(run.id, &text).await;
    }
    let (mut path, mut found, mut pages) = (Some("/api/v1/run_log/?limit=0".to_owned()), Vec::new(), 0);
    while let Some(next) = path {
        let page = get(&stage, &next).await;
        assert_eq!(page["meta"]["total_count"], 4);
        assert_eq!(page["meta"]["offset"], found.len());
        let objects = page["objects"].as_array().expect("objects");
        assert!((1..4).contains(&objects.len()), "{} of 4 logs of {} bytes", objects.len(), text.len());
        for object in objects {
            assert!(object["content"] == text.as_str(), "it is whole");
            found.push(object["id"].as_i64());
        }
        path = page["meta"]["next"].as_str().map(str::to_owned);
        pages += 1;
    }
    assert!(pages > 1);
    found.dedup();
    assert_eq!(found.len(), 4);
    let one = get(&stage, &format!("/api/v1/run_log/{}/", found[0].expect("an id"))).await;
    assert!(one["content"] == text.as_str());
    stage.fixture.stop().await;
}

#[tokio::test]
async fn original_websocket_clients_take_no_slot_of_event_subscribers() {
    let stage = Stage::with(0, |settings| settings.listeners = 1).await;
    let _original = RawSocket::open(stage.fixture.websocket(), "/", &[]).await;
    let bearer = stage.fixture.bearer();
    let (head, _events) = RawSocket::ask(stage.fixture.http(), "GET /events", &[UPGRADE, &[&bearer]].concat()).await;
    assert_eq!(head.status, 101);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_page_under_a_rebound_name_gets_no_events() {
    let stage = Stage::start(0).await;
    let at = stage.fixture.websocket();
    let evil = format!("rebound.example:{}", at.port());
    for (lines, status) in [
        (vec![format!("Host: {evil}"), format!("Origin: http://{evil}")], 421),
        (vec![format!("Host: {evil}")], 421),
        (vec![format!("Host: {at}"), format!("Origin: http://{at}")], 101),
        (vec![format!("Host: localhost:{}", at.port())], 101),
    ] {
        let mut stream = TcpStream::connect(at).await.expect("a connection");
        let request = format!("GET / HTTP/1.1\r\n{}\r\n{}\r\n\r\n", lines.join("\r\n"), UPGRADE.join("\r\n"));
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"), "{lines:?}");
    }
    stage.fixture.stop().await;
}

fn signed_upgrade(worker: &Worker, nonce: &str) -> (String, String) {
    let path = format!("/worker?{}", uplink::query(Utc::now().timestamp(), nonce));
    let authorization = hmac::authorization(&worker.api_key, &worker.secret, "GET", &path, &[]);
    (path, format!("Authorization: {authorization}"))
}

#[tokio::test]
async fn a_handshake_that_was_used_before_a_restart_is_refused_after_it_and_a_fresh_one_is_taken_at_once() {
    let stage = Stage::start(1).await;
    let (path, mine) = signed_upgrade(&stage.workers[0], "0123456789abcdef");
    let socket = RawSocket::open(stage.fixture.http(), &path, &[&mine]).await;
    drop(socket);
    let stage = stage.restart().await;
    let (head, _) = RawSocket::ask(stage.fixture.http(), &format!("GET {path}"), &[UPGRADE, &[&mine]].concat()).await;
    assert_eq!(head.status, 401, "heard a second time");
    let (path, mine) = signed_upgrade(&stage.workers[0], "fedcba9876543210");
    drop(RawSocket::open(stage.fixture.http(), &path, &[&mine]).await);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_worker_that_uses_up_its_nonces_waits_and_another_does_not() {
    let stage = Stage::start(2).await;
    let (worker, now) = (stage.worker(0).get(), Utc::now().timestamp());
    let query = "INSERT INTO uplink_nonce (worker, nonce, used)
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
                 SELECT CAST(? AS BIGINT), 'nonce' || i, CAST(? AS BIGINT) FROM n";
    stage.write(move |session| session.execute(query, [worker.into(), now.into()])).await;
    let status = async |worker: usize, nonce: &str| {
        let (path, mine) = signed_upgrade(&stage.workers[worker], nonce);
        let request = format!("GET {path}");
        RawSocket::ask(stage.fixture.http(), &request, &[UPGRADE, &[&mine]].concat()).await.0.status
    };
    assert_eq!((status(0, "0123456789abcdef").await, status(1, "0123456789abcdef").await), (401, 101));
    let query = "UPDATE uplink_nonce SET used = ? WHERE worker = ?";
    stage.write(move |session| session.execute(query, [(now - 601).into(), worker.into()])).await;
    assert_eq!(status(0, "0123456789abcdef").await, 101);
    let kept: i64 = stage.connect().value("SELECT count(*) FROM uplink_nonce", []);
    assert_eq!(kept, 2, "what cannot be used any more is not kept");
    stage.fixture.stop().await;
}

/// Whoever reads much waits for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_reads_all_logs_over_and_over_holds_up_nobody() {
    let scene = Scene::with_logs(8, 10 << 20).await;
    let (http, worker) = (scene.place.http, "worker1");
    let path = "/api/v1/run_log/?limit=0";
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\nAuthorization: ApiKey {worker}:{}\r\n\r\n",
        sign("verysecret", "GET", path, b"")
    );
    let mut reading = JoinSet::new();
    for _ in 0..8 {
        let head = head.clone();
        reading.spawn(async move {
            loop {
                let mut stream = TcpStream::connect(http).await.expect("a connection");
                stream.write_all(head.as_bytes()).await.expect("a request");
                let mut answer = Vec::new();
                let read = stream.read_to_end(&mut answer).await;
                assert!(read.is_ok() && answer.starts_with(b"HTTP/1.1 200"), "it is served");
            }
        });
    }
    for _ in 0..5 {
        scene.executes(1).await;
        assert_eq!(somebody_else(http).await.status, 401);
    }
    assert!(reading.try_join_next().is_none(), "all of them read on");
    reading.shutdown().await;
    scene.leave().await;
}

#[tokio::test]
async fn a_worker_that_connects_again_and_again_has_its_latest_connections_alone() {
    let stage = Stage::start(1).await;
    let mut sockets = Vec::new();
    for number in 0..8 {
        let (path, mine) = signed_upgrade(&stage.workers[0], &format!("{number:016}"));
        sockets.push(RawSocket::open(stage.fixture.http(), &path, &[&mine]).await);
    }
    let closed = tokio::time::timeout(SERVED, sockets[0].closed()).await;
    assert_eq!(closed.expect("the first is closed in time"), Some(1008));
    stage.fixture.stop().await;
}

/// Somebody else's runs are executed while connections of a worker say this, each of them again when it is closed.
async fn executes_while_said(scene: &Scene, peers: usize, message: Vec<u8>) {
    let message = Arc::new(message);
    let mut talking = JoinSet::new();
    for peer in 0..peers {
        let (http, greedy, message) = (scene.place.http, scene.greedy.clone(), Arc::clone(&message));
        talking.spawn(async move {
            for count in 0_u64.. {
                let (path, mine) = signed_upgrade(&greedy, &format!("{peer:016}{count:016}"));
                let request = format!(
                    "GET {path} HTTP/1.1\r\nHost: {http}\r\n{mine}\r\nJob-Runner-Uplink: 1\r\n{}\r\n\r\n",
                    UPGRADE.join("\r\n")
                );
                let Ok(mut stream) = TcpStream::connect(http).await else { continue };
                // It may be put out at any time.
                if stream.write_all(request.as_bytes()).await.is_ok() && stream.write_all(&message).await.is_ok() {
                    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                }
            }
        });
    }
    scene.executes(8).await;
    talking.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unauthenticated_bodies_share_one_memory_bound() {
    const BODY: usize = 32 << 20;
    let scene = Scene::start().await;
    let http = scene.place.http;
    // Whoever knows a worker's name can begin so; that the signature is wrong shows at the end, which does not come.
    let head = format!(
        "POST /api/v1/run_log/ HTTP/1.1\r\nHost: {http}\r\nAuthorization: ApiKey greedy:{}\r\n\
         Content-Type: application/json\r\nContent-Length: {BODY}\r\n\r\n",
        "0".repeat(40)
    );
    let request = Arc::new([head.as_bytes(), &vec![b' '; BODY - 1]].concat());
    let mut talking = JoinSet::new();
    for _ in 0..12 {
        let request = Arc::clone(&request);
        talking.spawn(async move {
            loop {
                let Ok(mut stream) = TcpStream::connect(http).await else { continue };
                if stream.write_all(&request).await.is_ok() {
                    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                }
            }
        });
    }
    scene.executes(5).await;
    talking.shutdown().await;
    scene.leave().await;
}

/// A frame of a WebSocket whose length is said to be this; a mask of zeros leaves what is in it as it is.
fn frame(length: u64, payload: &[u8]) -> Vec<u8> {
    [&[0x82, 0xff][..], &length.to_be_bytes(), &[0; 4], payload].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_uplink_messages_share_one_memory_bound() {
    let scene = Scene::start().await;
    let unfinished = frame(24 << 20, &vec![b' '; 20 << 20]);
    executes_while_said(&scene, 12, unfinished).await;
    scene.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_messages_of_workers_leave_no_memory_behind_on_their_connections() {
    let scene = Scene::start().await;
    let head = br#"{"call":1,"method":"POST","path":"/api/v1/run_log/"}"#;
    let mut message = head.to_vec();
    message.push(b'\n');
    message.resize(30 << 20, b' ');
    let whole = frame(30 << 20, &message);
    executes_while_said(&scene, 4, whole).await;
    scene.leave().await;
}
