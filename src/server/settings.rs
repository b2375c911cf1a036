//! Settings of the server. The defaults are the original's, where it has the setting.

mod database;
mod farm;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;

pub use database::{Database, DatabaseUrl, WrongDatabaseUrl};
pub use farm::FarmSettings;

use crate::server::http::connections::{PeerLimits, usable_connections};

/// Room for the head of a request beside the longest body, in bytes.
const MAX_HEAD: usize = 128 * 1024;
/// Bytes of request heads in memory at the address for the original's clients, all together.
const LISTENERS_MEMORY: usize = 4 * 1024 * 1024;

/// Settings of the server, from its configuration file.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Data directory, for this server alone.
    pub data: PathBuf,
    /// Database that keeps the jobs, runs and logs.
    pub database: Database,
    /// Address of the REST API, the dashboard and the feeds.
    pub http: SocketAddr,
    /// Address of the ZeroMQ broadcaster, to which workers subscribe.
    pub broadcaster: SocketAddr,
    /// Address of the ZeroMQ port to which workers send events.
    pub events: SocketAddr,
    /// Address at which the original's WebSocket server would listen; `None`: no such port.
    pub websocket: Option<SocketAddr>,
    /// Further origins whose pages may receive the feeds: `https://host:port` each, or `*`.
    pub allowed_origins: Vec<String>,
    /// Maximum number of listeners of the feed at `http` at once.
    pub listeners: usize,
    /// Interval of pings to a listener; one that sends nothing for three of them is disconnected.
    pub listener_ping: Duration,
    /// Maximum number of listeners at the address for the original's clients at once.
    pub websocket_listeners: usize,
    /// Maximum number of connections at `http`; the limit of descriptors may allow fewer.
    pub connections: usize,
    /// Maximum number of connections of one address that have not authenticated; one more takes the place of the
    /// longest silent one.
    pub strangers_of_address: usize,
    /// Maximum number of bytes of requests and of workers' messages in memory that are not answered yet.
    pub request_memory: usize,
    /// Longest time for the head of a request, and for a pause within a body.
    pub request_timeout: Duration,
    /// Longest time that a connection may be idle.
    pub idle_timeout: Duration,
    /// Grace period for requests under way when the server stops.
    pub stop_grace: Duration,
    /// Host names under which a server on loopback is reached, beside the machine's own.
    pub host_names: Vec<String>,
    /// Zone in which times are shown and intervals are computed.
    pub time_zone: Tz,
    /// Objects on a page of a list of the REST API, unless the request names a limit.
    pub page_limit: u32,
    /// Longest body of a request, in bytes; a log that is sent as a whole is the longest.
    pub max_body: usize,
    /// Longest log that is sent in pieces, in bytes.
    pub max_log: u64,
    /// Interval in which each worker is pinged.
    pub ping_interval: Duration,
    /// Pings in a row that may go unanswered before a worker is lost.
    pub silent_intervals: u32,
    /// Time that a worker has for the last of these answers.
    pub ping_margin: Duration,
    /// Interval in which an announcement is repeated while no worker claims the run.
    pub announce_interval: Duration,
    /// Losses of a run's worker with which the run fails.
    pub max_losses: u32,
    /// Settings of the Flamenco Manager.
    pub farm: FarmSettings,
    /// Writes that workers may make through the REST API; `None`: as the store says ([`WorkerWrites::SETTING`]).
    pub worker_writes: Option<WorkerWrites>,
}

/// Writes that a worker's secret permits in the REST API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkerWrites {
    /// Writes to the runs that the worker executes, their logs and kill requests, and its own state.
    #[default]
    Own,
    /// All writes that the original allows: also to jobs, scripts, runs and kill requests of its pools.
    Original,
}

impl WorkerWrites {
    /// Name under which the store keeps the value that counts if the configuration has none.
    ///
    /// `original` is the value of a store of a version without this setting, because its workers may depend on it.
    pub const SETTING: &'static str = "worker_writes";

    /// Parses the word of the configuration: `own` or `original`.
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
    /// Returns the default settings: all addresses on loopback, at the original's ports.
    #[must_use]
    pub fn new(data: PathBuf) -> Self {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            data,
            database: Database::Sqlite,
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
            farm: FarmSettings::default(),
            // The store decides, see `WorkerWrites::SETTING`: a new one confines workers to their own runs.
            worker_writes: None,
        }
    }

    /// Returns the time that a worker may be silent before it is lost.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.ping_interval * self.silent_intervals + self.ping_margin
    }

    /// Returns the writes that workers may make; `own` where neither the configuration nor the store has a value.
    #[must_use]
    pub fn worker_writes(&self) -> WorkerWrites {
        self.worker_writes.unwrap_or_default()
    }
}

impl Settings {
    /// Returns the limits on peers at `http`: as many connections as the descriptors of this process allow, and room
    /// for the longest body.
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

    /// Returns the limits on the original's clients at their own address, where only heads are read.
    #[must_use]
    pub fn websocket_limits(&self) -> PeerLimits {
        // Connections that are not listeners yet have places beside those of the listeners.
        let connections = self.websocket_listeners.saturating_add(self.strangers_of_address);
        PeerLimits { connections: usable_connections(connections), bytes: LISTENERS_MEMORY, ..self.limits() }
    }
}
