//! What the server needs to know. The defaults are the original's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;

use crate::server::http::connections::{PeerLimits, usable_connections};

/// Room for the head of a request beside the longest body, in bytes.
const MAX_HEAD: usize = 128 * 1024;
/// How many bytes of heads may be in memory at the address of the original's clients.
const LISTENERS_MEMORY: usize = 4 * 1024 * 1024;

/// What the server needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory of its data, which is ours alone.
    pub data: PathBuf,
    /// Where REST, pages and feeds are served.
    pub http: SocketAddr,
    /// Where the broadcaster binds.
    pub broadcaster: SocketAddr,
    /// Where workers' events come in.
    pub events: SocketAddr,
    /// Where the original's WebSocket server would be, if it is to be there.
    pub websocket: Option<SocketAddr>,
    /// From which other origins pages may listen to what happens: `https://host:port` each, or `*`.
    pub allowed_origins: Vec<String>,
    /// How many may listen to what happens at once.
    pub listeners: usize,
    /// How often who listens is pinged; who does not answer three of these is gone.
    pub listener_ping: Duration,
    /// How many of the original's clients may listen at an address of their own.
    pub websocket_listeners: usize,
    /// How many connections there may be at `http`.
    pub connections: usize,
    /// How many connections of one address may be there that have not shown who they are, before the longest silent goes.
    pub strangers_of_address: usize,
    /// How many bytes of requests, and of messages of workers, may be in memory that are not answered yet.
    pub request_memory: usize,
    /// How long the head of a request may take, and how long a body may stand still.
    pub request_timeout: Duration,
    /// How long a connection may be idle.
    pub idle_timeout: Duration,
    /// How long requests may go on when the server stops.
    pub stop_grace: Duration,
    /// By which names pages are asked for, beside this machine's own.
    pub host_names: Vec<String>,
    /// In which zone times are shown and intervals reckoned.
    pub time_zone: Tz,
    /// How many objects a page of a list has, if nobody says.
    pub page_limit: u32,
    /// The longest body of a request, in bytes; a log that is sent whole is the longest there is.
    pub max_body: usize,
    /// The longest log that is sent in pieces, in bytes.
    pub max_log: u64,
    /// How often workers are asked whether they are there.
    pub ping_interval: Duration,
    /// How many of these may go unanswered.
    pub silent_intervals: u32,
    /// How long after that a worker may still answer.
    pub ping_margin: Duration,
    /// How often a run that nobody claims is announced again.
    pub announce_interval: Duration,
    /// How many executions of a run may be lost before it fails.
    pub max_losses: u32,
    /// What workers may write through the REST API; `None`: as the store was begun ([`WorkerWrites::SETTING`]).
    pub worker_writes: Option<WorkerWrites>,
}

/// What a worker's secret is good for in the REST API, beside reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkerWrites {
    /// The runs that it executes, their logs and kill requests, and its own state.
    #[default]
    Own,
    /// Everything the original allows: also jobs, scripts, runs and kill requests of its pools.
    Original,
}

impl WorkerWrites {
    /// The name under which a store keeps what counts where the configuration says nothing: `original` in a store of a
    /// version that had no such setting, whose workers may have been used so.
    pub const SETTING: &'static str = "worker_writes";

    /// The word of the configuration: `own`, `original`.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "own" => Some(Self::Own),
            "original" => Some(Self::Original),
            _ => None,
        }
    }
}

impl Settings {
    /// Everything on loopback, at the original's ports.
    #[must_use]
    pub fn new(data: PathBuf) -> Self {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            data,
            http: loopback(8000),
            broadcaster: loopback(5556),
            events: loopback(5555),
            websocket: None,
            allowed_origins: Vec::new(),
            listeners: 500,
            listener_ping: Duration::from_secs(20),
            websocket_listeners: 500,
            connections: 4000,
            strangers_of_address: 200,
            request_memory: 48 * 1024 * 1024,
            request_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(120),
            stop_grace: Duration::from_secs(5),
            host_names: Vec::new(),
            time_zone: Tz::Europe__Amsterdam,
            page_limit: 200,
            max_body: 32 * 1024 * 1024,
            max_log: 128 * 1024 * 1024,
            ping_interval: Duration::from_secs(300),
            silent_intervals: 3,
            ping_margin: Duration::from_secs(15),
            announce_interval: Duration::from_secs(5),
            max_losses: 3,
            worker_writes: None,
        }
    }

    /// How long a worker may be silent before it is lost.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.ping_interval * self.silent_intervals + self.ping_margin
    }

    /// What workers may write.
    #[must_use]
    pub fn worker_writes(&self) -> WorkerWrites {
        self.worker_writes.unwrap_or_default()
    }
}

impl Settings {
    /// What peers may take at `http`: no more than the descriptors of this process allow, and room for the longest body.
    #[must_use]
    pub fn limits(&self) -> PeerLimits {
        PeerLimits {
            connections: usable_connections(self.connections),
            strangers_of_address: self.strangers_of_address,
            bytes: self.request_memory.max(self.max_body.saturating_add(MAX_HEAD)),
            request_timeout: self.request_timeout,
            idle_timeout: self.idle_timeout,
        }
    }

    /// What clients of the original may take at their own address, where only heads are read.
    #[must_use]
    pub fn websocket_limits(&self) -> PeerLimits {
        let connections = self.websocket_listeners.saturating_add(self.strangers_of_address);
        PeerLimits { connections: usable_connections(connections), bytes: LISTENERS_MEMORY, ..self.limits() }
    }
}
