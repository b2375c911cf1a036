//! A browser's view of the original WebSocket server: the events that it repeats.

use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde::Deserialize;
use tokio_tungstenite::tungstenite::{self, Message};

/// One event.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    pub event: String,
    pub kind: String,
    pub run_id: Option<u64>,
    pub kill_request_id: Option<u64>,
}

/// Every event since the connection was made, in order.
pub struct Feed {
    events: Arc<Mutex<Vec<Event>>>,
    stream: TcpStream,
}

impl Feed {
    /// Connects and collects in the background.
    pub fn open(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server listens");
        let ours = stream.try_clone().expect("a second handle");
        let (mut socket, _) =
            tungstenite::client(format!("ws://127.0.0.1:{port}/"), stream).expect("the server speaks WebSocket");
        let events = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&events);
        thread::spawn(move || {
            while let Ok(message) = socket.read() {
                if let Message::Text(text) = message {
                    let event =
                        serde_json::from_str(&text).unwrap_or_else(|error| panic!("no event: {error} in {text}"));
                    collected.lock().expect("a list").push(event);
                }
            }
        });
        Self { events, stream: ours }
    }

    fn select(&self, matches: impl Fn(&Event) -> bool) -> Vec<String> {
        let events = self.events.lock().expect("a list");
        events.iter().filter(|event| matches(event)).map(|event| event.event.clone()).collect()
    }

    /// What was told of a run.
    pub fn of_run(&self, run: u64) -> Vec<String> {
        self.select(|event| event.kind == "run" && event.run_id == Some(run))
    }

    /// What was told of a kill request.
    pub fn of_kill_request(&self, request: u64) -> Vec<String> {
        self.select(|event| event.kind == "kill_request" && event.kill_request_id == Some(request))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}
