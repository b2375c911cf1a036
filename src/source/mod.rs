//! The sources: where orders come from.

use std::time::Duration;

use url::Url;

/// What the sources need to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Host of the broadcaster.
    pub broadcaster_server_hostname: String,
    /// Its port.
    pub broadcaster_server_port: u16,
    /// After how much silence a new connection to the broadcaster is made.
    pub reconnect_after_inactivity: Duration,
    /// A WebSocket server that sends orders too.
    pub ws_url: Option<Url>,
}
