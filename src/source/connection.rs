//! WebSocket connections to the server: how long they may take and be silent, and why they end.

use std::time::Duration;

use tokio_tungstenite::tungstenite;

use crate::wire::uplink::bundle::BadBundle;

/// Interval of the worker's pings.
pub(super) const PING: Duration = Duration::from_secs(15);
/// Longest silence of a connection; a ping is answered within it.
pub(super) const SILENCE: Duration = Duration::from_secs(25);
/// Longest time for making a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// End of a connection with a cause.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionEnd {
    #[error("{0}")]
    WebSocket(#[from] tungstenite::Error),
    #[error("it could not be made in {} s", CONNECT.as_secs())]
    NotMade,
    #[error("nothing came for {} s", SILENCE.as_secs())]
    Silent,
    #[error(transparent)]
    BadBundle(#[from] BadBundle),
}
