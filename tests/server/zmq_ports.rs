//! Hostile peers at the two ZeroMQ ports, byte by byte, and what they cost the server and others.

use std::net::Ipv4Addr;

use jobrunner::wire::zmtp::{GREETING, SocketRole, message, ready, rest, subscription};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::Fixture;
use crate::stage::Stage;
use crate::steady_load::{PATIENCE, Scene};

/// A peer that has shaken hands.
async fn peer(port: u16, role: SocketRole) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("a connection");
    let hello = [&GREETING[..], &rest(), &ready(role)].concat();
    stream.write_all(&hello).await.expect("it reads");
    let mut theirs = vec![0; 64 + ready(role).len()];
    stream.read_exact(&mut theirs).await.expect("its part of the handshake");
    stream
}

/// Writes over and over; how many bytes it took before it closed.
async fn flood(mut stream: TcpStream, piece: &[u8], most: usize) -> usize {
    let mut written = 0;
    while written < most {
        if stream.write_all(piece).await.is_err() {
            break;
        }
        written += piece.len();
    }
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_many_frames_is_not_taken_in() {
    let scene = Scene::start().await;
    // A thousand frames of a kilobyte; another one follows always.
    let frame = [&[3, 0, 0, 0, 0, 0, 0, 4, 0][..], &[b'x'; 1024]].concat();
    let taken = flood(peer(scene.place.events, SocketRole::Publisher).await, &frame.repeat(1000), 900 << 20).await;
    assert!(taken < 32 << 20, "{taken} bytes were taken");
    scene.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_to_unknown_workers_are_not_kept_and_a_flood_is_closed() {
    let scene = Scene::start().await;
    let random: Vec<u8> = (0..100_000)
        .flat_map(|_| subscription(format!("master.broadcast.{:032x}", fastrand::u128(..)).as_bytes()))
        .collect();
    for _ in 0..4 {
        let taken = flood(peer(scene.place.broadcaster, SocketRole::Subscriber).await, &random, 64 << 20).await;
        assert!(taken < 32 << 20, "{taken} bytes were taken");
    }
    scene.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_that_are_repeated_close_the_flooder_and_others_hear_their_orders() {
    let scene = Scene::start().await;
    let place = scene.place;
    let again = subscription(b"master.broadcast.worker1").repeat(10_000);
    let flooding = tokio::spawn(async move {
        loop {
            flood(peer(place.broadcaster, SocketRole::Subscriber).await, &again, 64 << 20).await;
        }
    });
    scene.executes(5).await;
    flooding.abort();
    let _ = flooding.await;
    scene.leave().await;
}

#[tokio::test]
async fn a_subscriber_that_speaks_as_libzmq_3_did_hears_its_orders() {
    let stage = Stage::start(1).await;
    let mut arrivals = stage.fixture.app_state().orders.arrivals();
    let mut stream = TcpStream::connect(stage.fixture.server.broadcaster()).await.expect("a connection");
    // Its signature and version 2.0; then what it is, and that it has no identity; then what it wants.
    let mut hello = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 1, 2, 0, 0].to_vec();
    hello.extend(subscription(b"master.broadcast.worker1"));
    stream.write_all(&hello).await.expect("it reads");
    let mut theirs = [0; 14];
    stream.read_exact(&mut theirs).await.expect("its greeting");
    assert_eq!(theirs[10..], [3, 1, 0, 0], "a PUB without an identity, that knows of version 3");
    arrivals.recv().await.expect("an arrival");
    let wanted = message(&[b"master.broadcast.worker1", br#"{"action":"ping"}"#]);
    let mut heard = vec![0; wanted.len()];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut heard)).await.expect("in time").expect("an order");
    assert_eq!(heard, wanted);
    stage.fixture.stop().await;
}

/// Whether a connection was closed, without another word.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test]
async fn a_peer_that_speaks_no_zmtp_is_closed_at_once() {
    let fixture = Fixture::start().await;
    for to in [fixture.server.broadcaster(), fixture.server.events()] {
        let mut stream = TcpStream::connect(to).await.expect("a connection");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await.expect("it reads");
        assert!(is_closed(&mut stream).await);
        let mut stream = TcpStream::connect(to).await.expect("a connection");
        let role = if to == fixture.server.broadcaster() { SocketRole::Publisher } else { SocketRole::Subscriber };
        stream.write_all(&[&GREETING[..], &rest(), &ready(role)].concat()).await.expect("it reads");
        assert!(is_closed(&mut stream).await, "of the same kind as ours");
    }
    fixture.stop().await;
}
