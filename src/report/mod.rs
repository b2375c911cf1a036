//! The report: writes every fact to disk, then carries it out.

use std::time::Duration;

/// What the report needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The most bytes of a run's log that are sent; see [`crate::run::excerpt`].
    pub max_log_bytes: u64,
    /// How often the log of a lasting run is sent at most; zero: only at its end.
    pub log_update_interval: Duration,
    /// Where events go: host of the WebSocket server's ZeroMQ intake.
    pub ws_server_hostname: String,
    /// Its port.
    pub ws_server_port: u16,
}
