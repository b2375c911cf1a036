//! What can be done to a server at its two ZeroMQ ports.

use std::net::SocketAddr;

use jobrunner::wire::zmtp::{GREETING, SocketRole, ready, rest, subscription};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::peer;
use crate::failure::Failure;
use crate::own::{Own, key};

/// How many peers there are at once.
const PEERS: usize = 4;

/// One message that never ends: a thousand frames of a kilobyte after another, each of which says that another follows.
pub async fn frames(own: &Own) -> Result<(), Failure> {
    let frame = [&[3, 0, 0, 0, 0, 0, 0, 4, 0][..], &[b'x'; 1024]].concat();
    flood(own.events, SocketRole::Publisher, &frame.repeat(1000)).await
}

/// Subscriptions to keys that no worker has.
pub async fn strangers(own: &Own) -> Result<(), Failure> {
    let random = || subscription(format!("master.broadcast.{:032x}", fastrand::u128(..)).as_bytes());
    let piece: Vec<u8> = (0..20_000).flat_map(|_| random()).collect();
    flood(own.broadcaster, SocketRole::Subscriber, &piece).await
}

/// Subscriptions to the key of one worker, over and over.
pub async fn repeats(own: &Own) -> Result<(), Failure> {
    let piece = subscription(format!("master.broadcast.{}", key(1)).as_bytes()).repeat(10_000);
    flood(own.broadcaster, SocketRole::Subscriber, &piece).await
}

/// Peers that write the same over and over for as long as the server reads it, and come again when they are closed.
async fn flood(to: SocketAddr, role: SocketRole, piece: &[u8]) -> Result<(), Failure> {
    let peers = (0..PEERS).map(|_| async move {
        loop {
            // An error is the server's answer to this.
            let _ = write_on(to, role, piece).await;
            tokio::time::sleep(peer::AGAIN).await;
        }
    });
    futures_util::future::join_all(peers).await;
    Ok(())
}

async fn write_on(to: SocketAddr, role: SocketRole, piece: &[u8]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(&[&GREETING[..], &rest(), &ready(role)].concat()).await?;
    let mut theirs = vec![0; 64 + ready(role).len()];
    stream.read_exact(&mut theirs).await?;
    loop {
        stream.write_all(piece).await?;
    }
}
