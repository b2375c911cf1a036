//! A forwarder before the servers, as a load balancer is: each connection goes to a server that accepts it, and ends with it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// It ends when it is dropped; connections that are open go on.
pub struct Forwarder {
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Forwarder {
    /// Begins one that takes the servers in turn.
    pub async fn begin(servers: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (servers, turn): (Arc<[SocketAddr]>, _) = (servers.into(), AtomicUsize::new(0));
        let accepting = tokio::spawn(async move {
            loop {
                // It fails if the client is gone already.
                if let Ok((client, _)) = listener.accept().await {
                    let first = turn.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(forward(client, Arc::clone(&servers), first));
                }
            }
        });
        Self { address, accepting }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Carries one connection. Where no server accepts it, it is closed.
async fn forward(mut client: TcpStream, servers: Arc<[SocketAddr]>, first: usize) {
    for nth in 0..servers.len() {
        if let Ok(mut server) = TcpStream::connect(servers[(first + nth) % servers.len()]).await {
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (mut from_client, mut to_client) = client.split();
            let (mut from_server, mut to_server) = server.split();
            let up = async {
                let _ = copy(&mut from_client, &mut to_server).await;
                let _ = to_server.shutdown().await;
                // What the server still says is carried on; its end is the end.
                std::future::pending::<()>().await;
            };
            tokio::select! {
                _ = copy(&mut from_server, &mut to_client) => {}
                () = up => {}
            }
            return;
        }
    }
}
