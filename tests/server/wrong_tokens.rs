//! Wrong tokens, in a row and at once; and streams of a session that has logged out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::http::ask;
use crate::raw_socket::{RawSocket, UPGRADE};
use crate::stage::Stage;

/// Nothing in these tests takes this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many wrong tokens are answered at once.
const FREE: usize = 10;

/// Status and head of an answer to somebody at another address of this machine.
async fn from(last: u8, to: SocketAddr, request: &str) -> (u16, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0).into()).expect("an address");
    let mut stream = socket.connect(to).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("an answer in time").expect("an answer");
    let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer.split("\r\n\r\n").next().unwrap_or_default().to_owned())
}

fn bearer(to: SocketAddr, path: &str, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n")
}

#[tokio::test]
async fn wrong_tokens_in_a_row_are_slowed_down_and_the_right_one_never_waits() {
    let stage = Stage::start(0).await;
    let (http, right) = (stage.fixture.http(), stage.fixture.app_state().token.expose().to_owned());
    let path = "/operator/v1/jobs";
    let began = Instant::now();
    for count in 1..=FREE + 6 {
        let (status, head) = from(2, http, &bearer(http, path, &format!("wrong token {count}"))).await;
        assert_eq!(
            (status, head.contains("\r\nretry-after: ")),
            if count <= FREE { (401, false) } else { (429, true) }
        );
    }
    // 0.1, 0.2, 0.4, 0.8, 1.6 and 3.2 s.
    assert!(began.elapsed() >= Duration::from_millis(6300), "{:?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(from(2, http, &bearer(http, path, &right)).await.0, 200, "from the same address");
    assert_eq!(from(3, http, &bearer(http, path, "wrong token")).await.0, 401, "from another");
    assert!(began.elapsed() < Duration::from_millis(1600), "{:?}", began.elapsed());
    stage.fixture.stop().await;
}

#[tokio::test]
async fn wrong_tokens_count_on_every_interface() {
    let stage = Stage::start(0).await;
    let http = stage.fixture.http();
    let upgrade = bearer(http, "/events", "wrong");
    let upgrade =
        upgrade.replace("Connection: close", &UPGRADE.join("\r\n").replace(": Upgrade\r\n", ": Upgrade, close\r\n"));
    let form = "token=wrong";
    let login = format!(
        "POST /login HTTP/1.1\r\nHost: {http}\r\nOrigin: http://{http}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let link = format!("GET /login?token=wrong HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
    let doors = ["/operator/v1/workers", "/api/v1/run/", "/", "/readyz", "/worker", "/nowhere"];
    let mut requests: Vec<String> = doors.iter().map(|path| bearer(http, path, "wrong")).collect();
    requests.extend([upgrade, login, link]);
    for (last, request) in (10..).zip(&requests) {
        for _ in 0..FREE {
            assert_ne!(from(last, http, request).await.0, 429, "{request}");
        }
        assert_eq!(from(last, http, request).await.0, 429, "{request}");
    }
    stage.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_wrong_tokens_from_one_address_delay_no_other_address() {
    let stage = Stage::start(0).await;
    let (http, right) = (stage.fixture.http(), stage.fixture.app_state().token.expose().to_owned());
    let path = "/operator/v1/jobs";
    for _ in 0..FREE + 5 {
        from(2, http, &bearer(http, path, "wrong")).await;
    }
    let mut guessing = tokio::task::JoinSet::new();
    for number in 0..50 {
        let request = bearer(http, path, &format!("wrong token {number}"));
        guessing.spawn(async move { from(2, http, &request).await.0 });
    }
    let began = Instant::now();
    assert_eq!(from(3, http, &bearer(http, path, &right)).await.0, 200);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    while let Some(status) = guessing.join_next().await {
        assert_eq!(status.expect("an answer"), 429);
    }
    assert_eq!(from(2, http, &bearer(http, path, &right)).await.0, 200, "when they are answered");
    stage.fixture.stop().await;
}

fn header(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

#[tokio::test]
async fn a_logout_closes_the_streams_of_its_session_alone() {
    let stage = Stage::start(1).await;
    let http = stage.fixture.http();
    let job = stage.job(|_| {}).await;
    let run = stage.due(&job).await;
    let ours =
        [header("Origin", format!("http://{http}")), header("Content-Type", "application/x-www-form-urlencoded")];
    let login = format!("token={}", stage.fixture.app_state().token.expose());
    let cookie = async || {
        let answer = ask(http, "POST", "/login", &ours, Some(login.as_bytes())).await;
        answer.headers["set-cookie"].split(';').next().expect("a cookie").to_owned()
    };
    let (mine, other) = (cookie().await, cookie().await);
    let listens = async |who: &str| RawSocket::open(http, "/events", &[who, &format!("Origin: http://{http}")]).await;
    let mut events = listens(&format!("Cookie: {mine}")).await;
    let mut of_other = listens(&format!("Cookie: {other}")).await;
    let mut of_operator = listens(&stage.fixture.bearer()).await;
    let path = format!("GET /operator/v1/runs/{}/follow", run.id);
    let (head, mut follow) = RawSocket::ask(http, &path, &[&format!("Cookie: {mine}"), "Connection: close"]).await;
    assert_eq!(head.status, 200);

    let page = ask(http, "GET", "/", &[header("Cookie", &*mine)], None).await;
    let page = String::from_utf8(page.body).expect("text");
    let (_, rest) = page.split_once("name=\"form_token\" value=\"").expect("a form");
    let form = format!("form_token={}", rest.split_once('"').expect("its end").0);
    let headers = [&ours[..], &[header("Cookie", &*mine)]].concat();
    assert_eq!(ask(http, "POST", "/logout", &headers, Some(form.as_bytes())).await.status, 303);

    assert_eq!(events.closed().await, Some(1008));
    follow.until_closed().await;
    stage.due(&job).await;
    for socket in [&mut of_other, &mut of_operator] {
        while !socket.text().await.contains("run_") {}
    }
    let (head, _) = RawSocket::ask(http, "GET /events", &[UPGRADE, &[&format!("Cookie: {mine}")]].concat()).await;
    assert_eq!(head.status, 401);
    stage.fixture.stop().await;
}
