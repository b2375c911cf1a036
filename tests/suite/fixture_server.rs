//! The fixture server itself: it must be right before anything is judged by it.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Fault, Options, RunSpec, Server, StepKind, WorkerSpec, sign};

const KEY: &str = "testworker";
const SECRET: &str = "verysecret";

/// A client that signs as a worker does.
struct Peer {
    client: Client,
    base: String,
    key: &'static str,
    secret: &'static str,
}

impl Peer {
    fn new(server: &Server) -> Self {
        Self::named(server, KEY, SECRET)
    }

    fn named(server: &Server, key: &'static str, secret: &'static str) -> Self {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client without TLS");
        Self { client, base: server.api_base_url(), key, secret }
    }

    async fn try_send(&self, method: Method, target: &str, body: String) -> reqwest::Result<Response> {
        let signature = sign(self.secret, method.as_str(), target, body.as_bytes());
        let url = format!("{}{target}", self.base.trim_end_matches('/'));
        let request = self.client.request(method, url).header("content-type", "application/json");
        request.header("authorization", format!("ApiKey {}:{signature}", self.key)).body(body).send().await
    }

    async fn send(&self, method: Method, target: &str, body: Value) -> (u16, String) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.try_send(method, target, body).await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("a whole body"))
    }

    async fn get(&self, target: &str) -> Value {
        let (status, body) = self.send(Method::GET, target, Value::Null).await;
        assert_eq!(status, 200, "{target}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    async fn patch(&self, target: &str, body: Value) -> u16 {
        let (status, body) = self.send(Method::PATCH, target, body).await;
        assert!(status != 202 || body.is_empty(), "an accepted PATCH has no body");
        status
    }
}

async fn server() -> Server {
    // Else the first client with TLS compiled in would not be built.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Server::start(Options::default()).await
}

#[tokio::test]
async fn the_signature_is_checked() {
    let server = server().await;
    let id = server.add_run("#!/bin/sh\n");
    let target = format!("/api/v1/run/{id}/");
    assert_eq!(Peer::new(&server).get(&target).await["id"], id);
    for (key, secret) in [(KEY, "wrong"), ("nobody", SECRET)] {
        let stranger = Peer::named(&server, key, secret);
        assert_eq!(stranger.send(Method::GET, &target, Value::Null).await, (401, String::new()));
    }
    let calls = server.calls();
    assert_eq!(calls.iter().map(|call| call.status).collect::<Vec<_>>(), [Some(200), Some(401), Some(401)]);
    assert!(calls[0].applied && !calls[1].applied);
}

#[tokio::test]
async fn a_missing_slash_is_redirected() {
    let server = server().await;
    let peer = Peer::new(&server);
    let answer = peer.try_send(Method::GET, "/api/v1/run?state=started", String::new()).await.unwrap();
    assert_eq!(answer.status(), 301);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    assert!(location.ends_with("/api/v1/run/?state=started"), "{location}");
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let options = Options {
        workers: vec![WorkerSpec::new(KEY, SECRET), WorkerSpec::new("other", "secret2")],
        page_size: 2,
        ..Options::default()
    };
    let server = {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Server::start(options).await
    };
    let peer = Peer::new(&server);
    for _ in 0..5 {
        server.add_run(RunSpec::new("").worker(KEY).enqueued());
    }
    server.add_run(RunSpec::new("").worker("other").enqueued());
    server.add_run(RunSpec::new("").worker(KEY).started(Some(7)));
    server.add_run("");
    let mut next = Some(format!("/api/v1/run/?state=in_queue&worker__api_key={KEY}"));
    let (mut ids, mut pages) = (Vec::new(), 0);
    while let Some(target) = next {
        let page = peer.get(&target).await;
        ids.extend(page["objects"].as_array().unwrap().iter().map(|run| run["id"].as_i64().unwrap()));
        next = page["meta"]["next"].as_str().map(str::to_owned);
        pages += 1;
    }
    assert_eq!((ids, pages), (vec![1, 2, 3, 4, 5], 3));
    let started = peer.get(&format!("/api/v1/run/?state=started&worker__api_key={KEY}")).await;
    assert_eq!(started["meta"]["total_count"], 1);
    let workers = peer.get("/api/v1/worker/").await;
    assert_eq!(workers["objects"].as_array().unwrap().len(), 1);
    assert_eq!(peer.send(Method::GET, "/api/v1/kill_request/?run=1", Value::Null).await.0, 400);
}

#[tokio::test]
async fn a_life_is_recorded() {
    let server = server().await;
    let peer = Peer::new(&server);
    let id = server.add_run("#!/bin/sh\necho hello\n");
    let run = format!("/api/v1/run/{id}/");
    let time = "2026-11-23 17:02:01.622914+00:00";
    assert_eq!(peer.get(&format!("/api/v1/job/{id}/")).await["script_content"], "#!/bin/sh\necho hello\n");
    let claim = json!({"enqueue_dts": time, "worker": "/api/v1/worker/1/", "no_such_field": 1});
    assert_eq!(peer.patch(&run, claim).await, 202);
    assert_eq!(peer.get(&run).await["enqueue_dts"], "2026-11-23T18:02:01.622914");
    assert_eq!(peer.patch(&run, json!({"start_dts": time, "pid": 4711})).await, 202);
    let log = json!({"run": run, "content": "hel"});
    assert_eq!(peer.send(Method::POST, "/api/v1/run_log/", log.clone()).await.0, 201);
    let (status, sorry) = peer.send(Method::POST, "/api/v1/run_log/", log).await;
    assert!(status == 500 && sorry.contains("Please try again later"), "{sorry}");
    let log = peer.get(&run).await["run_log"].as_str().unwrap().to_owned();
    assert_eq!(peer.patch(&log, json!({"content": "hello"})).await, 202);
    assert_eq!(peer.get(&log).await["content"], "hello");
    assert_eq!(peer.patch(&run, json!({"return_dts": 5})).await, 500);
    assert_eq!(peer.send(Method::PATCH, &run, json!([])).await.0, 500);
    assert_eq!(peer.patch(&run, json!({"worker": null})).await, 202);
    assert_eq!(server.run(id).worker, Some(1));
    assert_eq!(server.run(id).kinds().pop(), Some(StepKind::Other));
    server.edit_run(id, |run| run.steps.retain(|step| step.kind != StepKind::Other));
    assert_eq!(peer.patch(&run, json!({"return_dts": time, "return_success": true})).await, 202);
    server.assert_whole_life(id);
    let row = server.run(id);
    assert_eq!((row.log_text(), row.log_history.len(), row.completions), ("hello", 2, 1));
    assert_eq!(peer.patch(&run, json!({"pid": 1})).await, 202);
    assert_eq!(server.run(id).completions, 2);
    assert!(server.run(id).check_whole_life().is_err());
    server.assert_no_overlapping_writes();
}

#[tokio::test]
async fn a_run_belongs_to_one_worker() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let workers = vec![WorkerSpec::new(KEY, SECRET), WorkerSpec::new("other", "secret2")];
    let server = Server::start(Options { workers, ..Options::default() }).await;
    let id = server.add_run(RunSpec::new("").worker("other").enqueued());
    let run = format!("/api/v1/run/{id}/");
    let peer = Peer::new(&server);
    assert_eq!(peer.get(&run).await["worker"], "/api/v1/worker/2/");
    assert_eq!(peer.send(Method::PATCH, &run, json!({"pid": 5})).await, (401, String::new()));
    assert_eq!(peer.patch(&run, json!({"worker": "/api/v1/worker/1/"})).await, 202);
    assert_eq!(server.run(id).worker, Some(1));
    let hidden = server.add_run(RunSpec::new("").pool(2));
    assert_eq!(peer.send(Method::GET, &format!("/api/v1/run/{hidden}/"), Value::Null).await.0, 404);
}

#[tokio::test]
async fn faults_hit_the_chosen_requests() {
    use crate::support::What;
    let server = server().await;
    let peer = Peer::new(&server);
    let id = server.add_run("");
    let run = format!("/api/v1/run/{id}/");
    let claim = || json!({"enqueue_dts": "2026-11-23 17:02:01+00:00"});
    let send = |method, body: Value| peer.try_send(method, &run, body.to_string());

    let second = server.inject(Fault::on("GET", "/api/v1/run/", What::status_with(503, "retry-after", "7")).nth(2));
    let got = [(); 3].map(|()| peer.send(Method::GET, &run, Value::Null));
    let mut statuses = Vec::new();
    for answer in got {
        statuses.push(answer.await.0);
    }
    assert_eq!((statuses, second.hits()), (vec![200, 503, 200], 1));

    server.inject(Fault::on("PATCH", &run, What::ResetBefore).once());
    assert!(send(Method::PATCH, claim()).await.is_err());
    assert_eq!(server.run(id).claims(), 0);
    server.inject(Fault::on("PATCH", &run, What::ResetAfterCommit).setting("enqueue_dts").once());
    assert!(send(Method::PATCH, claim()).await.is_err());
    assert_eq!(server.run(id).claims(), 1);

    server.inject(Fault::on("GET", &run, What::Truncate).once());
    let cut = peer.try_send(Method::GET, &run, String::new()).await.unwrap();
    assert_eq!(cut.status(), 200);
    assert!(cut.bytes().await.is_err());

    server.inject(Fault::on("GET", &run, What::SlowBody(100, Duration::from_millis(1))).once());
    assert_eq!(peer.get(&run).await["id"], id);
    server.inject(Fault::on("GET", &run, What::edit(|run| run["job"] = json!(5))).once());
    assert_eq!(peer.get(&run).await["job"], 5);
    server.inject(Fault::on("*", "/", What::html()).once());
    assert!(peer.send(Method::GET, &run, Value::Null).await.1.starts_with("<html>"));
    server.inject(Fault::on("GET", &run, What::HangForever).once());
    let hanging = tokio::time::timeout(Duration::from_millis(50), peer.get(&run)).await;
    assert!(hanging.is_err());
    assert_eq!(server.calls().last().unwrap().status, None);
}

#[tokio::test]
async fn the_api_goes_down_and_comes_back() {
    let server = server().await;
    let peer = Peer::new(&server);
    peer.get("/api/v1/worker/").await;
    server.refuse_connections(true).await;
    assert!(peer.try_send(Method::GET, "/api/v1/worker/", String::new()).await.is_err());
    server.refuse_connections(false).await;
    peer.get("/api/v1/worker/").await;
    server.wait(|state| state.rest_open == 1, "the old connection to be gone").await;
}

/// The other implementation of ZeroMQ, on a thread: `read` gets a socket with a time limit.
fn libzmq<R: Send + 'static>(
    kind: zmq::SocketType,
    read: impl FnOnce(zmq::Socket) -> R + Send + 'static,
) -> tokio::task::JoinHandle<R> {
    tokio::task::spawn_blocking(move || {
        let socket = zmq::Context::new().socket(kind).expect("a socket");
        socket.set_rcvtimeo(10_000).expect("a time limit");
        socket.set_linger(1_000).expect("a time limit");
        socket.set_reconnect_ivl(20).expect("a pause");
        read(socket)
    })
}

#[tokio::test]
async fn libzmq_receives_the_broadcaster_after_each_fault() {
    let server = server().await;
    let address = format!("tcp://{}", server.broadcaster().address);
    let (heard, mut hearing) = tokio::sync::mpsc::channel(3);
    let listening = libzmq(zmq::SUB, move |socket| {
        socket.connect(&address).unwrap();
        socket.set_subscribe(b"master.broadcast.testworker").unwrap();
        for _ in 0..3 {
            let frames = socket.recv_multipart(0).expect("a message in time");
            assert_eq!((frames.len(), &frames[0][..]), (2, &b"master.broadcast.testworker"[..]));
            heard.blocking_send(serde_json::from_slice::<Value>(&frames[1]).unwrap()).unwrap();
        }
    });
    server.wait_subscribed().await;
    server.ping();
    assert_eq!(hearing.recv().await, Some(json!({"action": "ping"})));
    server.broadcaster().close().await;
    server.broadcaster().reopen().await;
    server.wait(|state| state.subscribed(KEY) == 2, "the second subscription").await;
    let id = server.add_run("");
    server.announce(id);
    assert_eq!(hearing.recv().await, Some(json!({"action": "enqueue", "run_id": 1})));
    server.broadcaster().cut();
    server.wait(|state| state.subscribed(KEY) == 3, "the third subscription").await;
    server.kill(id);
    assert_eq!(hearing.recv().await, Some(json!({"action": "kill", "kill_request_id": 1})));
    listening.await.unwrap();
}

#[tokio::test]
async fn a_frozen_link_keeps_its_connections_and_carries_nothing() {
    let server = server().await;
    let address = format!("tcp://{}", server.broadcaster().address);
    let (done, wait) = std::sync::mpsc::sync_channel::<()>(1);
    let listening = libzmq(zmq::SUB, move |socket| {
        socket.connect(&address).unwrap();
        socket.set_subscribe(b"master.broadcast.").unwrap();
        wait.recv().unwrap();
        socket.recv_multipart(zmq::DONTWAIT)
    });
    server.wait(|state| state.subscribed("") == 1, "the subscription").await;
    server.broadcaster().freeze();
    server.ping();
    let open = |state: &crate::support::State| state.broadcaster_link.open != 1;
    server.never_within(Duration::from_millis(100), open, "a lost connection").await;
    done.send(()).unwrap();
    assert_eq!(listening.await.unwrap(), Err(zmq::Error::EAGAIN));
}

#[tokio::test]
async fn events_of_libzmq_arrive() {
    let server = server().await;
    let address = format!("tcp://{}", server.event_intake().address);
    let (ready, wait) = std::sync::mpsc::sync_channel::<()>(1);
    let sending = libzmq(zmq::XPUB, move |socket| {
        socket.connect(&address).unwrap();
        assert_eq!(socket.recv_bytes(0).unwrap(), b"\x01worker.event");
        wait.recv().unwrap();
        socket.send_multipart(["worker.event", r#"{"event":"started","run_id":7,"kind":"run"}"#], 0).unwrap();
        socket.send_multipart(["worker.eventual"], 0).unwrap();
    });
    server.wait(|state| state.event_peers == 1, "the peer").await;
    ready.send(()).unwrap();
    let event = server.wait_event("started", 7).await;
    assert_eq!((event.topic.as_str(), event.frames.len()), ("worker.event", 2));
    server.wait(|state| state.events.len() == 2, "the single frame").await;
    sending.await.unwrap();
}

#[tokio::test]
async fn orders_are_pushed_over_the_websocket() {
    let server = server().await;
    let (mut socket, _) = tokio_tungstenite::connect_async(server.ws_url()).await.unwrap();
    server.wait_websockets(1).await;
    server.push_ws(&json!({"action": "enqueue", "run_id": 3}));
    let message = socket.next().await.unwrap().unwrap();
    assert_eq!(message.into_text().unwrap().as_str(), r#"{"action":"enqueue","run_id":3}"#);
    socket.send(Message::Ping("x".into())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong("x".into()));
    server.websocket().freeze();
    socket.send(Message::Ping("y".into())).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), socket.next()).await.is_err());
    server.websocket().cut();
    assert!(!matches!(socket.next().await, Some(Ok(_))));
    server.wait(|state| state.open_websockets() == 0, "the end of the client").await;
    server.websocket().thaw();
    server.refuse_websockets(Some(503));
    assert!(tokio_tungstenite::connect_async(server.ws_url()).await.is_err());
    server.refuse_websockets(None);
    let (mut socket, _) = tokio_tungstenite::connect_async(server.ws_url()).await.unwrap();
    server.wait_websockets(1).await;
    server.close_ws(1012, "restart");
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(Some(_))))));
}

#[tokio::test]
async fn unclaimed_runs_are_announced_again() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let reannounce = Some(Duration::from_millis(5));
    let server = Server::start(Options { reannounce, ..Options::default() }).await;
    let id = server.add_run("");
    server.add_run(RunSpec::new("").quiet());
    server.wait(|state| state.announcements.len() >= 3, "three announcements").await;
    server.edit_run(id, |run| run.enqueue_dts = Some("2026-11-23T18:02:01".to_owned()));
    let body: Value = server.look(|state| serde_json::from_slice(&state.announcements[0].frames[1]).unwrap());
    assert_eq!(body["run_id"], id);
}

#[tokio::test]
async fn a_burst_arrives_whole_and_in_order() {
    let server = server().await;
    let address = format!("tcp://{}", server.broadcaster().address);
    let listening = libzmq(zmq::SUB, move |socket| {
        socket.set_rcvhwm(0).unwrap();
        socket.connect(&address).unwrap();
        socket.set_subscribe(b"master.broadcast.testworker").unwrap();
        let id = |frames: Vec<Vec<u8>>| serde_json::from_slice::<Value>(&frames[1]).unwrap()["run_id"].as_i64();
        (0..2_000).map(|_| id(socket.recv_multipart(0).unwrap()).unwrap()).collect::<Vec<_>>()
    });
    server.wait_subscribed().await;
    (1..=2_000).for_each(|id| server.announce_to(KEY, id));
    assert_eq!(listening.await.unwrap(), (1..=2_000).collect::<Vec<_>>());
}

#[tokio::test]
#[should_panic(expected = "in vain for: what never comes")]
async fn a_timed_out_wait_names_its_condition() {
    let server = server().await;
    Peer::new(&server).get("/api/v1/worker/").await;
    server.wait_within(Duration::from_millis(20), |_| false, "what never comes").await;
}
