//! A line to the REST API on which everything takes its time.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The longest way, of a request or of its answer.
const LONGEST: Duration = Duration::from_millis(1_500);

/// Makes a line to the server; calls to the address that it answers with take 0 to 3 s, and the higher the shortness
/// is, the more of them take little: a way takes the longest divided by one more than it, on average.
pub async fn slow_line(to: SocketAddr, shortness: i32) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let at = listener.local_addr().expect("a port");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(both_ways(client, to, shortness));
        }
    });
    at
}

async fn both_ways(mut client: TcpStream, to: SocketAddr, shortness: i32) {
    let Ok(mut server) = TcpStream::connect(to).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    tokio::join!(carry(from_client, to_server, shortness), carry(from_server, to_client, shortness));
}

async fn carry(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, shortness: i32) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        tokio::time::sleep(LONGEST.mul_f64(fastrand::f64().powi(shortness))).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
