//! Events that workers send to the ZeroMQ port.

use std::time::Duration;

use jobrunner::run::{Event, RunId};
use tokio::sync::broadcast::Receiver;
use zeromq::{PubSocket, Socket, SocketSend, ZmqMessage};

use crate::fixture::Fixture;

const DEADLINE: Duration = Duration::from_secs(20);

struct Publisher {
    socket: PubSocket,
    events: Receiver<Event>,
}

impl Publisher {
    /// A worker whose events arrive.
    async fn of(fixture: &Fixture) -> Self {
        let mut socket = PubSocket::new();
        socket.connect(&format!("tcp://{}", fixture.server.events())).await.expect("the intake");
        let mut publisher = Self { socket, events: fixture.app_state().events.listen() };
        // What is sent before the other side has subscribed goes nowhere.
        for id in 1_000.. {
            publisher.send(&["worker.event", &started(id)]).await;
            if tokio::time::timeout(Duration::from_millis(50), publisher.events.recv()).await.is_ok() {
                break;
            }
        }
        publisher
    }

    async fn send(&mut self, frames: &[&str]) {
        let frames =
            frames.iter().map(|frame| axum::body::Bytes::copy_from_slice(frame.as_bytes())).collect::<Vec<_>>();
        self.socket.send(ZmqMessage::try_from(frames).expect("frames")).await.expect("sent");
    }

    async fn hear(&mut self) -> Event {
        loop {
            let event =
                tokio::time::timeout(DEADLINE, self.events.recv()).await.expect("an event in time").expect("an event");
            if !matches!(event, Event::RunStarted(run) if run.get() >= 1_000) {
                return event;
            }
        }
    }
}

fn started(id: i64) -> String {
    format!(r#"{{"event": "started", "run_id": {id}, "kind": "run"}}"#)
}

/// One message of a single frame ends the only reader of the original's WebSocket server for ever.
#[tokio::test]
async fn h32_a_malformed_event_is_dropped_and_the_next_received() {
    let fixture = Fixture::start().await;
    let mut worker = Publisher::of(&fixture).await;
    let long = format!(r#"{{"event": "started", "run_id": 1, "kind": "run"{}}}"#, " ".repeat(5000));
    for frames in [
        vec!["worker.event"],
        vec!["worker.event", "{}", "{}"],
        vec!["worker.events", &started(1)],
        vec!["worker.event", "not JSON"],
        vec!["worker.event", ""],
        vec!["worker.event", "<script>alert(1)</script>"],
        vec!["worker.event", &long],
        vec!["worker.event", r#"{"event": "started", "run_id": 1, "kind": "run", "more": 1}"#],
        vec!["worker.event", r#"{"event": "started", "run_id": "../1", "kind": "run"}"#],
    ] {
        worker.send(&frames).await;
    }
    worker.send(&["worker.event", &started(2)]).await;
    assert_eq!(worker.hear().await, Event::RunStarted(RunId::new(2).unwrap()));
    fixture.stop().await;
}

#[tokio::test]
async fn a_repeated_event_is_not_passed_on() {
    let fixture = Fixture::start().await;
    let mut worker = Publisher::of(&fixture).await;
    let run = |id| RunId::new(id).unwrap();
    fixture.app_state().changes().publish(jobrunner::server::store::changes::Change::RunStarted(run(1)));
    for id in [1, 2, 2, 1, 2, 3] {
        worker.send(&["worker.event", &started(id)]).await;
    }
    assert_eq!(worker.hear().await, Event::RunStarted(run(2)));
    assert_eq!(worker.hear().await, Event::RunStarted(run(3)));
    fixture.stop().await;
}
