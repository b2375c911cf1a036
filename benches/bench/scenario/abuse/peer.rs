//! Connections that a well-behaved client would not have: each is kept for as long as the server bears it, then made anew.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::failure::Failure;

/// How long a peer that was shut out waits before it comes again: it is to be a nuisance to the server, not to the machine.
pub const AGAIN: Duration = Duration::from_millis(500);
/// How much is read or written at once.
const PIECE: usize = 64 * 1024;

/// So many peers at once, each of which says a beginning, then a number of zeros, and then nothing any more.
pub async fn hold(
    to: SocketAddr,
    peers: usize,
    beginning: impl Fn(usize) -> Vec<u8>,
    zeros: usize,
) -> Result<(), Failure> {
    let held = (0..peers).map(|peer| {
        let beginning = &beginning;
        async move {
            loop {
                let _ = hold_once(to, &beginning(peer), zeros).await;
                tokio::time::sleep(AGAIN).await;
            }
        }
    });
    futures_util::future::join_all(held).await;
    Ok(())
}

async fn hold_once(to: SocketAddr, beginning: &[u8], zeros: usize) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(beginning).await?;
    let piece = vec![b'0'; PIECE];
    let mut left = zeros;
    while left > 0 {
        let some = left.min(PIECE);
        stream.write_all(&piece[..some]).await?;
        left -= some;
    }
    skip(&mut stream).await.map(drop)
}

/// Asks for something and reads the answer to its end.
pub async fn ask(to: SocketAddr, head: &str) -> std::io::Result<u64> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(head.as_bytes()).await?;
    skip(&mut stream).await
}

async fn skip(stream: &mut TcpStream) -> std::io::Result<u64> {
    let (mut piece, mut read) = (vec![0; PIECE], 0);
    loop {
        match stream.read(&mut piece).await? {
            0 => return Ok(read),
            some => read += some as u64,
        }
    }
}
