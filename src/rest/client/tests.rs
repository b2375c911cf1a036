//! Calls against a small server, one promise each: what it answers, and what we make of it.

mod certificates;
mod lists;
mod redirects;
mod refusals;

use std::sync::Mutex;

use axum::Router;
use axum::body::{self, Body};
use axum::extract::Request;
use axum::http::Response as HttpResponse;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::health::Verdict;
use super::*;
use crate::run::{ApiKey, Secret};

const RUN: &str = include_str!("../../../tests/fixtures/wire/run.json");
const JOB: &str = include_str!("../../../tests/fixtures/wire/job.json");
const WORKERS: &str = include_str!("../../../tests/fixtures/wire/workers.json");
const KILL: &str = include_str!("../../../tests/fixtures/wire/kill_request.json");

/// A call as the server got it.
#[derive(Clone, Debug)]
struct Call {
    method: Method,
    /// With the query.
    path: String,
    authorization: String,
    content_type: String,
    body: Vec<u8>,
}

/// A server that notes every call.
#[derive(Clone)]
struct Server {
    url: Url,
    calls: Arc<Mutex<Vec<Call>>>,
}

type Answer = HttpResponse<Body>;

impl Server {
    async fn that(answers: impl Fn(&Call) -> Answer + Clone + Send + Sync + 'static) -> Self {
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let noted = Arc::clone(&calls);
        let router = Router::new().fallback(move |request: Request| {
            let (answers, noted) = (answers.clone(), Arc::clone(&noted));
            async move {
                let (head, content) = request.into_parts();
                let header =
                    |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
                let call = Call {
                    method: head.method.clone(),
                    path: head.uri.to_string(),
                    authorization: header(AUTHORIZATION),
                    content_type: header(CONTENT_TYPE),
                    body: body::to_bytes(content, MAX_BODY).await.expect("a body").to_vec(),
                };
                noted.lock().expect("the calls").push(call.clone());
                answers(&call)
            }
        });
        let (listener, url) = listen().await;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, calls }
    }

    /// A server that gives everybody this answer.
    async fn with(status: u16, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        Self::that(move |_| answer(status, &[], content.clone())).await
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("the calls").clone()
    }

    fn paths(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.path).collect()
    }

    fn client(&self) -> Client {
        client(settings(&self.url))
    }
}

async fn listen() -> (TcpListener, Url) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    (listener, url.parse().expect("a URL"))
}

fn answer(status: u16, headers: &[(&str, &str)], content: impl Into<Body>) -> Answer {
    let mut response = HttpResponse::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(content.into()).expect("an answer")
}

fn settings(url: &Url) -> Settings {
    Settings {
        api_base_url: url.clone(),
        api_key: ApiKey::parse("testworker").expect("a key"),
        secret: Secret::new(b"verysecret".to_vec()),
        run_resource: "/api/v1/run/".to_owned(),
        worker_resource: "/api/v1/worker/".to_owned(),
        run_log_resource: "/api/v1/run_log/".to_owned(),
        kill_request_resource: "/api/v1/kill_request/".to_owned(),
        // Reading the system's roots is left to the tests about certificates.
        tls_verify: false,
        ca_file: None,
        api_timeout: Duration::from_secs(20),
    }
}

fn client(settings: Settings) -> Client {
    Client::new(settings).expect("a client")
}

/// A client that soon loses patience.
fn impatient(url: &Url) -> Client {
    client(Settings { api_timeout: Duration::from_millis(300), ..settings(url) })
}

fn run_2() -> RunId {
    RunId::new(2).expect("a run")
}

fn kill_1() -> KillId {
    KillId::new(1).expect("a kill request")
}

/// The signature that a call should have.
fn signed(call: &Call) -> String {
    let settings = settings(&"http://host/".parse().expect("a URL"));
    hmac::authorization(&settings.api_key, &settings.secret, call.method.as_str(), &call.path, &call.body)
}

#[tokio::test]
async fn every_call_is_signed_and_goes_where_the_original_goes() {
    let server = Server::that(|call| match (call.method.as_str(), call.path.as_str()) {
        ("GET", path) if path.starts_with("/api/v1/run/") => answer(200, &[], RUN),
        ("GET", path) if path.starts_with("/api/v1/job/") => answer(200, &[], JOB),
        ("GET", path) if path.starts_with("/api/v1/worker/") => answer(200, &[], WORKERS),
        ("GET", _) => answer(200, &[], KILL),
        ("POST", _) => answer(201, &[("location", "http://other/api/v1/run_log/7/")], ""),
        _ => answer(202, &[], ""),
    })
    .await;
    let client = server.client();

    assert_eq!(client.run(run_2()).await.expect("a run").id, 2);
    assert!(client.job("/api/v1/job/1/").await.expect("a job").script_content.is_some());
    assert_eq!(client.worker().await.expect("a worker").resource_uri, "/api/v1/worker/1/");
    assert_eq!(client.kill_request(kill_1()).await.expect("a kill request").run.as_deref(), Some("/api/v1/run/2/"));
    client.patch_run(run_2(), &RunPatch::start("at", 7)).await.expect("accepted");
    let log = client.new_log(run_2(), "héllo\n").await.expect("accepted");
    assert_eq!(log.as_deref(), Some("/api/v1/run_log/7/"));
    client.patch_log("/api/v1/run_log/7/", "x").await.expect("accepted");
    client.patch_kill(kill_1(), &KillPatch::default()).await.expect("accepted");
    let ping = WorkerPatch { ping_response_dts: "at".to_owned(), worker_version: "3.0.0", concurrent_jobs: 4 };
    client.patch_worker("/api/v1/worker/1/", &ping).await.expect("accepted");

    let calls = server.calls();
    let made: Vec<_> = calls.iter().map(|call| format!("{} {}", call.method, call.path)).collect();
    assert_eq!(
        made,
        [
            "GET /api/v1/run/2/",
            "GET /api/v1/job/1/",
            "GET /api/v1/worker/",
            "GET /api/v1/kill_request/1/",
            "PATCH /api/v1/run/2/",
            "POST /api/v1/run_log/",
            "PATCH /api/v1/run_log/7/",
            "PATCH /api/v1/kill_request/1/",
            "PATCH /api/v1/worker/1/",
        ]
    );
    for call in &calls {
        assert_eq!(call.authorization, signed(call), "{call:?}");
        assert_eq!(call.content_type, "application/json");
    }
    assert_eq!(calls[5].body, "{\"run\":\"/api/v1/run/2/\",\"content\":\"héllo\\n\"}".as_bytes());
}

#[tokio::test]
async fn who_we_are_is_asked_once() {
    let server = Server::with(200, WORKERS).await;
    let client = server.client();
    let (one, other) = tokio::join!(client.me(), client.me());
    assert_eq!((one, other), (Ok("/api/v1/worker/1/"), Ok("/api/v1/worker/1/")));
    assert_eq!(client.clone().me().await, Ok("/api/v1/worker/1/"));
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn any_success_of_a_write_is_success() {
    for status in [200, 201, 202, 204] {
        let content = if status == 204 { "" } else { "<html>whatever</html>" };
        let server = Server::with(status, content).await;
        assert_eq!(server.client().patch_run(run_2(), &RunPatch::default()).await, Ok(()), "{status}");
        assert_eq!(server.client().new_log(run_2(), "").await, Ok(None), "{status}");
    }
}

#[tokio::test]
async fn a_location_may_be_a_path() {
    let server = Server::that(|_| answer(201, &[("location", "/api/v1/run_log/7/")], "")).await;
    assert_eq!(server.client().new_log(run_2(), "").await, Ok(Some("/api/v1/run_log/7/".to_owned())));
}

#[tokio::test]
async fn a_path_in_the_base_url_is_replaced_as_urljoin_does() {
    let server = Server::with(200, RUN).await;
    let base = server.url.join("/somewhere/else/").expect("a URL");
    client(settings(&base)).run(run_2()).await.expect("a run");
    assert_eq!(server.paths(), ["/api/v1/run/2/"]);
}

/// Answers each connection with bytes, and closes it.
async fn raw(bytes: Vec<u8>) -> Url {
    let (listener, url) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
    });
    url
}

/// Answers each connection with a beginning, then with a piece over and over, slowly.
async fn dripping(beginning: &'static str, piece: &'static str) -> Url {
    let (listener, url) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(beginning.as_bytes()).await;
                let mut ticks = tokio::time::interval(Duration::from_millis(50));
                loop {
                    ticks.tick().await;
                    if stream.write_all(piece.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

fn no_answer(answer: Result<Run, Failure>) {
    assert!(matches!(answer, Err(Failure::NoAnswer(_))), "{answer:?}");
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let (listener, url) = listen().await;
    drop(listener);
    let client = client(settings(&url));
    assert!(matches!(client.run(run_2()).await, Err(Failure::Unreachable(_))));
    assert_eq!(client.health().verdict(), Verdict::Failing);
}

#[tokio::test]
async fn a_connection_that_is_closed_without_an_answer_leaves_doubt() {
    let url = raw(Vec::new()).await;
    no_answer(client(settings(&url)).run(run_2()).await);
    let write = client(settings(&url)).patch_run(run_2(), &RunPatch::default()).await;
    assert!(write.is_err_and(|failure| failure.is_ambiguous()));
}

#[tokio::test]
async fn an_answer_that_is_no_http_leaves_doubt() {
    for bytes in [b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), b"HTTP/1.1 2000 OK\r\n\r\n".to_vec(), vec![0; 100]] {
        no_answer(client(settings(&raw(bytes).await)).run(run_2()).await);
    }
}

#[tokio::test]
async fn a_body_that_ends_too_early_leaves_doubt() {
    let cut = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{RUN}", RUN.len() + 1);
    no_answer(client(settings(&raw(cut.into_bytes()).await)).run(run_2()).await);
}

#[tokio::test]
async fn too_many_headers_are_not_read() {
    let headers = "x-more: x\r\n".repeat(100_000);
    let url = raw(format!("HTTP/1.1 200 OK\r\n{headers}content-length: 0\r\n\r\n").into_bytes()).await;
    no_answer(client(settings(&url)).run(run_2()).await);
}

#[tokio::test]
async fn a_header_of_a_megabyte_is_not_read() {
    let url = raw(format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "x".repeat(1 << 20)).into_bytes()).await;
    no_answer(client(settings(&url)).run(run_2()).await);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    no_answer(impatient(&dripping("", "").await).run(run_2()).await);
}

#[tokio::test]
async fn a_body_that_stops_is_given_up() {
    no_answer(impatient(&dripping("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{", "").await).run(run_2()).await);
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_given_up_as_a_whole() {
    let url = dripping("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{", " ").await;
    no_answer(impatient(&url).run(run_2()).await);
}

#[tokio::test]
async fn one_silent_server_holds_up_no_other_call() {
    let server = Server::that(|call| {
        if call.path.ends_with("/3/") {
            let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
            answer(200, &[], Body::from_stream(never))
        } else {
            answer(200, &[], RUN)
        }
    })
    .await;
    let client = server.client();
    let stuck = tokio::spawn({
        let client = client.clone();
        async move { client.run(RunId::new(3).expect("a run")).await }
    });
    for _ in 0..5 {
        client.run(run_2()).await.expect("a run");
    }
    assert!(!stuck.is_finished());
    stuck.abort();
}

#[tokio::test]
async fn a_clock_that_differs_is_told_and_does_no_harm() {
    let server = Server::that(|_| answer(200, &[("date", "Mon, 23 Nov 2099 17:02:00 GMT")], RUN)).await;
    let client = server.client();
    client.run(run_2()).await.expect("a run");
    assert!(client.skew_told.load(Ordering::Relaxed));

    let punctual = Server::with(200, RUN).await.client();
    punctual.run(run_2()).await.expect("a run");
    assert!(!punctual.skew_told.load(Ordering::Relaxed));
}

#[test]
fn a_client_shows_its_secret_to_nobody() {
    let client = client(settings(&"http://host/".parse().expect("a URL")));
    assert!(!format!("{client:?}").contains("verysecret"));
}
