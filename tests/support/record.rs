//! What the server saw and said, one record each, in one order.

use std::time::Instant;

use serde_json::Value;

/// One REST call, recorded when its last byte had arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// Place in the one order of everything that happened here.
    pub seq: u64,
    /// When the request was complete.
    pub at: Instant,
    /// When the answer was ready to be sent; `None` while it is held back, or for ever.
    pub answered_at: Option<Instant>,
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query without the question mark; empty if there is none.
    pub query: String,
    /// The body as JSON; a body that is no JSON is its text; no body is `Null`.
    pub body: Value,
    /// Status of the answer; `None` while there is none.
    pub status: Option<u16>,
    /// Whether the request changed the server's rows or would have been answered by them: false for
    /// what was refused or swallowed by a fault.
    pub applied: bool,
    /// Number of the TCP connection, from 1.
    pub connection: u64,
    /// The key that the request claims to come from, also when the signature is wrong.
    pub api_key: String,
    /// Request headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Call {
    /// Whether this is `method` on exactly `path`.
    pub fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }

    /// First value of a header, if it was sent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Whether the body sets this field to something else than null.
    pub fn sets(&self, field: &str) -> bool {
        self.body.get(field).is_some_and(|value| !value.is_null())
    }
}

/// One message of the worker's event socket.
#[derive(Clone, Debug)]
pub struct Event {
    pub seq: u64,
    pub at: Instant,
    pub frames: Vec<Vec<u8>>,
    /// First frame.
    pub topic: String,
    /// Second frame as JSON; `Null` if it is none.
    pub body: Value,
}

impl Event {
    /// Whether this is event `name` of a run.
    pub fn is_run(&self, name: &str, run_id: i64) -> bool {
        self.body["kind"] == "run" && self.body["event"] == name && self.body["run_id"] == run_id
    }

    /// Whether this is event `name` of a kill request.
    pub fn is_kill(&self, name: &str, kill_id: i64) -> bool {
        self.body["kind"] == "kill_request" && self.body["event"] == name && self.body["kill_request_id"] == kill_id
    }
}

/// One message given to the broadcaster.
#[derive(Clone, Debug)]
pub struct Announcement {
    pub seq: u64,
    pub at: Instant,
    pub frames: Vec<Vec<u8>>,
}

/// A subscription that reached the broadcaster, or one taken back.
#[derive(Clone, Debug)]
pub struct Subscription {
    pub seq: u64,
    pub at: Instant,
    pub topic: Vec<u8>,
    /// False: unsubscribed.
    pub on: bool,
}

/// A client of the WebSocket server.
#[derive(Clone, Debug)]
pub struct WebSocketClient {
    /// Number of the connection, from 1.
    pub id: u64,
    pub seq: u64,
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// Text that the client sent.
    pub received: Vec<String>,
    /// Pings that the client sent.
    pub pings: usize,
    /// Pongs that the client sent.
    pub pongs: usize,
    pub open: bool,
}
