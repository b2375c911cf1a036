//! A worker as the broadcaster sees it: a SUB socket of another make.

use std::time::Duration;

use jobrunner::run::{ApiKey, KillId, Order, RunId};
use serde_json::Value;
use zeromq::{Socket, SocketRecv, SubSocket};

use crate::fixture::Fixture;

/// How long an order may take before a wait for it fails.
const DEADLINE: Duration = Duration::from_secs(20);

pub struct Subscriber {
    socket: SubSocket,
    topic: String,
}

impl Subscriber {
    /// Subscribes as a worker does, and answers once the broadcaster knows.
    pub async fn of(fixture: &Fixture, key: &ApiKey) -> Self {
        let mut socket = SubSocket::new();
        let topic = format!("master.broadcast.{key}");
        let mut arrivals = fixture.app_state().orders.arrivals();
        socket.connect(&format!("tcp://{}", fixture.server.broadcaster())).await.expect("the broadcaster");
        socket.subscribe(&topic).await.expect("a subscription");
        while arrivals.recv().await.expect("arrivals") != *key {}
        Self { socket, topic }
    }

    /// The next order.
    pub async fn next(&mut self) -> Order {
        let message = tokio::time::timeout(DEADLINE, self.socket.recv()).await.expect("an order in time");
        let frames = message.expect("a message").into_vec();
        let [topic, content] = &frames[..] else { panic!("{} frames", frames.len()) };
        assert_eq!(topic, self.topic.as_bytes());
        let object: Value = serde_json::from_slice(content).expect("JSON");
        let id = |name| object[name].as_i64().expect("an id");
        match object["action"].as_str().expect("an action") {
            "enqueue" => Order::Enqueue(RunId::new(id("run_id")).expect("a run")),
            "kill" => Order::Kill(KillId::new(id("kill_request_id")).expect("a request")),
            "ping" => Order::Ping,
            "attend" => Order::Attend,
            other => panic!("action {other}"),
        }
    }

    /// The next run that is announced.
    pub async fn run(&mut self) -> RunId {
        loop {
            if let Order::Enqueue(run) = self.next().await {
                return run;
            }
        }
    }

    /// The next request to kill.
    pub async fn kill(&mut self) -> KillId {
        loop {
            if let Order::Kill(kill) = self.next().await {
                return kill;
            }
        }
    }
}
