//! WebSocket feeds of changes: well-behaved, slow and hostile subscribers.

use std::time::Duration;

use chrono::Utc;
use jobrunner::run::{Event, RunId};
use jobrunner::server::domain::model::JobId;
use jobrunner::server::identity::session::{Session, cookie_name};
use jobrunner::server::store::changes::Change;
use jobrunner::wire::event::object;

use crate::fixture::Fixture;
use crate::raw_socket::{Frame, RawSocket, UPGRADE, masked};

fn run(id: i64) -> RunId {
    RunId::new(id).expect("an id")
}

/// A listener at `/events` that has read the first message.
async fn listener(fixture: &Fixture) -> RawSocket {
    let mut socket = RawSocket::open(fixture.http(), "/events", &[&fixture.bearer()]).await;
    assert!(socket.text().await.contains("resync"));
    socket
}

fn seq(text: &str) -> u64 {
    let told: jobrunner::wire::feed::FeedMessage = serde_json::from_str(text).expect("a message of ours");
    told.seq
}

#[tokio::test]
async fn subscribers_need_a_token_and_a_refusal_names_its_reason() {
    let fixture = Fixture::start().await;
    let (http, original) = (fixture.http(), fixture.websocket());
    let bearer = fixture.bearer();
    let (_, session) = Session::begin(&fixture.app_state().token, Utc::now()).expect("something random");
    let cookie = format!("Cookie: a=b; {}={session}", cookie_name(http.port()));
    let same = format!("Origin: http://{http}");
    let beside = "Origin: http://127.0.0.1:8000";
    let foreign = "Origin: https://evil.example";
    let deflate = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
    let version = "Sec-WebSocket-Version: 12";
    let table: &[(_, &str, Vec<&str>, u16)] = &[
        (http, "GET /events", vec![], 426),
        (http, "GET /events", vec![&bearer], 426),
        (http, "POST /events", [UPGRADE, &[&bearer]].concat(), 426),
        (http, "GET /events", UPGRADE.to_vec(), 401),
        (http, "GET /events", [UPGRADE, &["Authorization: Bearer wrong-and-long-enough"]].concat(), 401),
        (http, "GET /events", [UPGRADE, &["Authorization: ApiKey a:b"]].concat(), 401),
        (http, "GET /events", [UPGRADE, &[&bearer, foreign]].concat(), 403),
        (http, "GET /events", [UPGRADE, &[&cookie, foreign]].concat(), 403),
        (http, "GET /events", [UPGRADE, &[&cookie, beside]].concat(), 403),
        (http, "GET /events", [&UPGRADE[..2], &[version, UPGRADE[3], &bearer]].concat(), 400),
        (http, "GET /events", [&UPGRADE[..3], &[&bearer]].concat(), 400),
        (http, "GET /events", [&UPGRADE[..3], &["Sec-WebSocket-Key: short", &bearer]].concat(), 400),
        (http, "GET /events", [UPGRADE, &[&bearer]].concat(), 101),
        (http, "GET /events", [UPGRADE, &[&cookie, &same]].concat(), 101),
        (http, "GET /events", [UPGRADE, &[&bearer, deflate]].concat(), 101),
        (original, "GET /", vec![], 400),
        (original, "POST /x", vec!["Content-Length: 0"], 400),
        (original, "GET /", [UPGRADE, &[foreign]].concat(), 403),
        (original, "GET /", [UPGRADE, &[beside]].concat(), 101),
        (original, "GET /any/path?q", UPGRADE.to_vec(), 101),
    ];
    for (to, request, lines, status) in table {
        let (head, _socket) = RawSocket::ask(*to, request, lines).await;
        assert_eq!(head.status, *status, "{request} {lines:?}");
        assert!(!head.text.contains("permessage-deflate"), "{}", head.text);
        match status {
            426 => assert!(head.text.contains("upgrade: websocket"), "{}", head.text),
            400 if *to == http => assert!(head.text.contains("sec-websocket-version: 13"), "{}", head.text),
            _ => {}
        }
    }
    fixture.stop().await;
}

#[tokio::test]
async fn an_allowed_origin_may_subscribe() {
    let fixture = Fixture::with(|settings| settings.allowed_origins = vec!["https://dash.example".to_owned()]).await;
    let lines = [&fixture.bearer(), "Origin: https://dash.example"];
    RawSocket::open(fixture.http(), "/events", &lines).await;
    RawSocket::open(fixture.websocket(), "/", &lines[1..]).await;
    fixture.stop().await;
}

#[tokio::test]
async fn changes_of_a_run_are_sent_in_order_in_both_formats() {
    let fixture = Fixture::start().await;
    let mut people = RawSocket::open(fixture.http(), "/events", &[&fixture.bearer()]).await;
    let mut original = RawSocket::open(fixture.websocket(), "/", &[]).await;
    let course = [
        Change::RunScheduled(run(7)),
        Change::RunEnqueued(run(7)),
        Change::RunStarted(run(7)),
        Change::RunLog(run(7), 12),
        Change::RunReturned(run(7)),
        Change::JobChanged(JobId::new(2).expect("an id")),
    ];
    course.into_iter().for_each(|item| fixture.tell(item));
    let expected = [
        r#"{"seq":0,"event":"resync","kind":"feed"}"#,
        r#"{"seq":1,"event":"scheduled","kind":"run","run_id":7}"#,
        r#"{"seq":2,"event":"enqueued","kind":"run","run_id":7}"#,
        r#"{"seq":3,"event":"started","kind":"run","run_id":7}"#,
        r#"{"seq":4,"event":"log","kind":"run","run_id":7,"length":12}"#,
        r#"{"seq":5,"event":"returned","kind":"run","run_id":7}"#,
        r#"{"seq":6,"event":"changed","kind":"job","job_id":2}"#,
    ];
    for line in expected {
        assert_eq!(people.text().await, line);
    }
    for event in [Event::RunEnqueued(run(7)), Event::RunStarted(run(7)), Event::RunReturned(run(7))] {
        assert_eq!(original.text().await, object(event));
    }
    fixture.stop().await;
}

#[tokio::test]
async fn worker_events_are_passed_on_once_where_they_are_new() {
    let fixture = Fixture::start().await;
    let mut people = listener(&fixture).await;
    let mut original = RawSocket::open(fixture.websocket(), "/", &[]).await;
    fixture.tell(Change::RunReturned(run(7)));
    let returned = object(Event::RunReturned(run(7)));
    assert_eq!(original.text().await, returned);
    assert!(people.text().await.contains("returned"));
    let worker = zmq::Context::new().socket(zmq::XPUB).expect("a socket");
    worker.set_sndhwm(0).expect("no bound");
    worker.connect(&format!("tcp://{}", fixture.app_state().settings.events)).expect("an address");
    let worker = tokio::task::spawn_blocking(move || {
        worker.recv_bytes(0).expect("a subscription");
        worker
    });
    let worker = worker.await.expect("somebody listens");
    let say = |frames: &[&[u8]]| worker.send_multipart(frames, 0).expect("it is sent");
    let (topic, known) = (b"worker.event".as_slice(), object(Event::RunEnqueued(run(9))));
    for bad in [
        &[topic][..],
        &[topic, b"\xff\x00"],
        &[topic, b"[1]"],
        &[topic, br#"{"event":"exploded","kind":"run","run_id":1}"#],
        &[topic, br#"{"event":"started","kind":"planet","run_id":1}"#],
        &[topic, br#"{"event":"started","kind":"run","run_id":-1}"#],
        &[topic, b"{}", b"{}"],
        &[topic, format!(r#"{{"event":"started","kind":"run","run_id":1,"x":"{}"}}"#, "x".repeat(5000)).as_bytes()],
    ] {
        say(bad);
    }
    // What is news already is not said again, however often it is.
    for _ in 0..100_000 {
        say(&[topic, returned.as_bytes()]);
    }
    say(&[topic, known.as_bytes()]);
    say(&[topic, known.as_bytes()]);
    say(&[topic, object(Event::RunEnqueued(run(10))).as_bytes()]);
    assert_eq!(original.text().await, known);
    assert_eq!(original.text().await, object(Event::RunEnqueued(run(10))));
    // Nobody vouches for it: people are told what the store knows.
    fixture.tell(Change::RunStarted(run(8)));
    assert_eq!(people.text().await, r#"{"seq":2,"event":"started","kind":"run","run_id":8}"#);
    fixture.stop().await;
}

#[tokio::test]
async fn a_stopping_server_tells_its_subscribers() {
    let fixture = Fixture::start().await;
    let mut socket = listener(&fixture).await;
    assert_eq!(tokio::join!(fixture.stop(), socket.closed()).1, Some(1001));
}

#[tokio::test]
async fn hostile_websocket_messages_are_bounded_and_close_the_connection() {
    let fixture = Fixture::start().await;
    let mut good = listener(&fixture).await;
    let mut flood = masked(0x01, &[b'a'; 60]);
    (0..200).for_each(|_| flood.extend(masked(0x00, &[b'a'; 60])));
    let huge = [&[0x82, 0xff][..], &(1_u64 << 30).to_be_bytes(), &[0; 4]].concat();
    let table = [
        ("a long text", masked(0x81, &[b'a'; 4097]), 1009),
        ("long bytes", masked(0x82, &[0; 4097]), 1009),
        ("a gigabyte", huge, 1009),
        ("a flood of fragments", flood, 1009),
        ("text that is no UTF-8", masked(0x81, &[0xff, 0xfe]), 1007),
        ("a compressed frame nobody agreed on", masked(0xc1, b"x"), 1002),
        ("a frame without a mask", vec![0x81, 1, b'x'], 1002),
        ("a code that is none", masked(0x83, b"x"), 1002),
        ("a long ping", masked(0x89, &[0; 126]), 1002),
        ("a continuation of nothing", masked(0x80, b"x"), 1002),
    ];
    for (what, bytes, code) in table {
        let mut hostile = listener(&fixture).await;
        hostile.send(&bytes).await;
        assert_eq!(hostile.closed().await, Some(code), "{what}");
    }
    // What is within the bounds is ignored.
    let mut talkative = listener(&fixture).await;
    talkative.send(&masked(0x81, &[b'a'; 4096])).await;
    talkative.send(&masked(0x82, &[0; 4096])).await;
    fixture.tell(Change::RunStarted(run(1)));
    assert!(talkative.text().await.contains("started"));
    assert!(good.text().await.contains("started"));
    fixture.stop().await;
}

#[tokio::test]
async fn h33_a_subscriber_that_does_not_read_delays_no_other_and_is_closed() {
    let fixture = Fixture::start().await;
    let mut good = listener(&fixture).await;
    let slow = listener(&fixture).await;
    let slow_original = RawSocket::open(fixture.websocket(), "/", &[]).await;
    let mut told = 0;
    // Until what the kernel takes for who does not read is full, and then our own patience.
    while fixture.app_state().feed.listening() > 1 {
        assert!(told < 200_000, "who does not read is still there");
        for _ in 0..500 {
            fixture.tell(Change::RunStarted(run(1)));
        }
        for _ in 0..500 {
            told += 1;
            assert_eq!(seq(&good.text().await), told, "the good one misses nothing");
        }
    }
    for mut slow in [slow, slow_original] {
        assert_eq!(slow.closed().await, Some(1013));
    }
    fixture.tell(Change::RunReturned(run(1)));
    assert_eq!(seq(&good.text().await), told + 1);
    fixture.stop().await;
}

#[tokio::test]
async fn a_subscriber_that_answers_no_pings_is_closed() {
    let fixture = Fixture::with(|settings| settings.listener_ping = Duration::from_millis(100)).await;
    let mut good = listener(&fixture).await;
    let mut dead = listener(&fixture).await;
    let gone = async {
        let mut pings = 0;
        loop {
            match dead.frame().await {
                Frame::Ping => pings += 1,
                Frame::Gone => return pings,
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::pin!(gone);
    // One answers as long as the other is waited for, and then is still heard.
    let pings = loop {
        tokio::select! {
            pings = &mut gone => break pings,
            frame = good.frame() => {
                assert_eq!(frame, Frame::Ping);
                good.send(&masked(0x8a, b"")).await;
            }
        }
    };
    assert!((1..=3).contains(&pings), "{pings}");
    good.send(&masked(0x8a, b"")).await;
    fixture.tell(Change::RunStarted(run(1)));
    assert!(good.text().await.contains("started"));
    fixture.stop().await;
}

#[tokio::test]
async fn subscribers_have_a_limit_and_a_storm_of_them_disturbs_no_other() {
    let fixture = Fixture::with(|settings| settings.listeners = 2).await;
    let (first, mut second) = (listener(&fixture).await, listener(&fixture).await);
    let bearer = fixture.bearer();
    let lines = [UPGRADE, &[&bearer]].concat();
    for _ in 0..200 {
        let (head, _) = RawSocket::ask(fixture.http(), "GET /events", &lines).await;
        assert_eq!(head.status, 503);
        assert!(head.text.contains("retry-after"), "{}", head.text);
    }
    let (head, _) = RawSocket::ask(fixture.http(), "GET /events", &[]).await;
    assert_eq!(head.status, 426, "HTTP is served all the same");
    fixture.tell(Change::RunStarted(run(1)));
    assert!(second.text().await.contains("started"));
    drop(first);
    // Its place is free as soon as the server has seen it go.
    loop {
        let (head, _) = RawSocket::ask(fixture.http(), "GET /events", &lines).await;
        if head.status == 101 {
            break;
        }
        assert_eq!(head.status, 503);
        tokio::task::yield_now().await;
    }
    fixture.stop().await;
}
