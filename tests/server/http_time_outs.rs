//! Time-outs at the HTTP port of a real server, and streams that outlive them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chrono::Utc;
use jobrunner::wire::{hmac, uplink};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::ask;
use crate::raw_socket::{Frame, RawSocket};
use crate::steady_load::{PATIENCE, Scene};

/// A head, a body, or nothing at all may take a second.
const QUICK: &[(&str, &str)] = &[("request_timeout", "1"), ("idle_timeout", "1")];
/// Within this, whoever has had its time is answered or closed.
const SOON: Duration = Duration::from_secs(20);

/// Says this, then a byte now and then. The first line of the answer, if there is one before the connection is closed.
async fn trickle(to: SocketAddr, head: String) -> String {
    let stream = TcpStream::connect(to).await.expect("a connection");
    let (mut reader, mut writer) = stream.into_split();
    let trickling = tokio::spawn(async move {
        let mut again = tokio::time::interval(Duration::from_millis(100));
        let mut written = writer.write_all(head.as_bytes()).await;
        while written.is_ok() {
            again.tick().await;
            written = writer.write_all(b" ").await;
        }
    });
    let mut answer = Vec::new();
    // Who writes on to a connection that was closed may lose the end of the answer.
    let _ = tokio::time::timeout(SOON, reader.read_to_end(&mut answer)).await.expect("an end in time");
    trickling.abort();
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_body_is_answered_with_408_on_every_interface() {
    let scene = Scene::with(QUICK).await;
    let (http, token) = (scene.place.http, &scene.token);
    let path = "/api/v1/run_log/";
    let body = vec![b' '; 100_000];
    let signed = hmac::authorization(&scene.greedy.api_key, &scene.greedy.secret, "POST", path, &body);
    let json = "Content-Type: application/json";
    for (path, lines) in [
        (path, format!("Authorization: {signed}\r\n{json}")),
        (path, format!("Authorization: Bearer {token}\r\n{json}")),
        ("/operator/v1/jobs", format!("Authorization: Bearer {token}\r\n{json}")),
        ("/login", format!("Origin: http://{http}\r\nContent-Type: application/x-www-form-urlencoded")),
    ] {
        let length = if path == "/login" { 1000 } else { body.len() };
        let head = format!("POST {path} HTTP/1.1\r\nHost: {http}\r\n{lines}\r\nContent-Length: {length}\r\n\r\n");
        // Not a 413: what is too long is never sent again.
        assert_eq!(trickle(http, head).await, "HTTP/1.1 408 Request Timeout", "{path}");
    }
    let head = format!("GET / HTTP/1.1\r\nHost: {http}\r\nX-Slow: ");
    assert_eq!(trickle(http, head).await, "", "a head is not worth an answer");
    scene.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_outlive_the_time_limit_of_idle_connections() {
    let scene = Scene::with(QUICK).await;
    let http = scene.place.http;
    let bearer = format!("Authorization: Bearer {}", scene.token);
    let mut events = RawSocket::open(http, "/events", &[&bearer]).await;
    let path = format!("/worker?{}", uplink::query(Utc::now().timestamp(), "0123456789abcdef"));
    let signed = hmac::authorization(&scene.greedy.api_key, &scene.greedy.secret, "GET", &path, &[]);
    let signed = format!("Authorization: {signed}");
    let mut up = RawSocket::open(http, &path, &[&signed, "Job-Runner-Uplink: 1"]).await;
    let headers =
        [("Authorization", format!("Bearer {}", scene.token)), ("Content-Type", "application/json".to_owned())];
    let headers = headers.map(|(name, value)| (name.to_owned(), value));
    // A run that says nothing for as long as that.
    let silent = json!({"title": "silent", "script": "#!/bin/sh\nexec sleep 3600\n", "pool": "pool"}).to_string();
    let made = ask(http, "POST", "/operator/v1/runs", &headers, Some(silent.as_bytes())).await;
    let run = serde_json::from_slice::<Value>(&made.body).expect("JSON")["id"].as_i64().expect("a run");
    let mut follow = TcpStream::connect(http).await.expect("a connection");
    let asked =
        format!("GET /operator/v1/runs/{run}/follow HTTP/1.1\r\nHost: {http}\r\n{bearer}\r\nConnection: close\r\n\r\n");
    follow.write_all(asked.as_bytes()).await.expect("a request");
    let mut idle = TcpStream::connect(http).await.expect("a connection");
    idle.write_all(format!("GET /login HTTP/1.1\r\nHost: {http}\r\n\r\n").as_bytes()).await.expect("a request");
    let began = Instant::now();
    let mut answer = Vec::new();
    tokio::time::timeout(SOON, idle.read_to_end(&mut answer)).await.expect("it has had its time").expect("an answer");
    scene.executes(4).await;
    assert!(began.elapsed() > Duration::from_secs(3), "longer than any of them may be idle");

    let kill = ask(http, "POST", &format!("/operator/v1/runs/{run}/kill"), &headers, Some(b"{}")).await;
    assert_eq!(kill.status, 202, "{}", String::from_utf8_lossy(&kill.body));
    let mut told = String::new();
    tokio::time::timeout(PATIENCE, follow.read_to_string(&mut told)).await.expect("an end in time").expect("text");
    assert!(told.contains("\"killed\""), "{told}");
    let heard = async {
        loop {
            if events.text().await.contains(&format!("\"run_id\":{run}")) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect("what happens is told still");
    up.send(&crate::raw_socket::masked(0x82, b"{\"call\":1,\"method\":\"GET\",\"path\":\"/api/v1/run/\"}\n")).await;
    let answered = async {
        loop {
            match up.frame().await {
                Frame::Binary(answer) if answer.starts_with(b"{\"answer\":1,") => return,
                Frame::Close(_) | Frame::Gone => panic!("it was closed"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("a worker is answered still");
    scene.leave().await;
}
