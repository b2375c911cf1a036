//! WebSocket connections to the server: how long they may take and be silent, and why they end.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio_tungstenite::tungstenite;
use url::{Host, Url};

use crate::wire::uplink::bundle::BadBundle;

/// Interval of the worker's pings.
pub(super) const PING: Duration = Duration::from_secs(15);
/// Longest silence of a connection; a ping is answered within it.
pub(super) const SILENCE: Duration = Duration::from_secs(25);
/// Longest time for making a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;

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

/// Connects to the host of a URL, which may have several addresses: each try begins with another one, so that a server
/// that accepts and does not serve is left for the next.
pub(super) async fn connect(url: &Url, tries: usize) -> io::Result<TcpStream> {
    let port = url.port_or_known_default().unwrap_or_default();
    let mut addresses: Vec<SocketAddr> = match url.host() {
        Some(Host::Ipv4(address)) => vec![(address, port).into()],
        Some(Host::Ipv6(address)) => vec![(address, port).into()],
        Some(Host::Domain(name)) => lookup_host((name, port)).await?.collect(),
        None => Vec::new(),
    };
    addresses.dedup();
    let first = tries.checked_rem(addresses.len()).unwrap_or_default();
    addresses.rotate_left(first);
    let stream = connect_to_one(&addresses, CONNECT).await?;
    // Calls are small and wait for their answers.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects to the first address that accepts. Each has its share of the time: a machine that is gone does not even refuse.
async fn connect_to_one(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "its host has no address");
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(e)) => failed = e,
            Err(_) => failed = io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer")),
        }
    }
    Err(failed)
}
