//! A listening port: accepts connections, bounded in all and by source, and serves each in a task.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::server::http::connections::{Source, usable_at_zmq};

#[cfg(test)]
mod tests;

/// Connections at most, if there are descriptors for them.
const ALL: usize = 4096;
/// Connections from one source at most; workers behind one proxy share an address.
const OF_ONE: usize = 1024;
/// Pause after a connection could not be accepted, usually for lack of descriptors.
const AGAIN: Duration = Duration::from_millis(100);

/// A bound port, ready to serve.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

impl Port {
    /// Binds a port at an address.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Address that was bound, with its actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves each connection in a task until `stop` is cancelled; a connection beyond a bound is closed at once.
    pub async fn serve<F: Future<Output = ()> + Send + 'static>(
        self,
        stop: &CancellationToken,
        serve: impl Fn(TcpStream, SocketAddr) -> F,
    ) {
        let (peers, all) = (Peers::default(), usable_at_zmq(ALL));
        let mut tasks = JoinSet::new();
        loop {
            let taken = tokio::select! {
                // Returning drops the set, which aborts the tasks of all connections.
                () = stop.cancelled() => return,
                // Tasks that have ended are taken out, so that the set counts open connections only.
                Some(_) = tasks.join_next() => continue,
                taken = self.listener.accept() => taken,
            };
            match taken {
                Ok((stream, peer)) => {
                    if tasks.len() < all
                        && let Some(place) = peers.enter(peer.ip())
                    {
                        // Orders are small and must not wait for an acknowledgement of the one before.
                        let _ = stream.set_nodelay(true);
                        let served = serve(stream, peer);
                        tasks.spawn(async move {
                            served.await;
                            drop(place);
                        });
                    }
                }
                // While descriptors are lacking, accepting fails at once each time; the pause keeps the loop from
                // spinning.
                Err(_) => sleep(AGAIN).await,
            }
        }
    }
}

/// Number of connections from each source, counted as those over HTTP are.
#[derive(Clone, Debug, Default)]
struct Peers(Arc<Mutex<HashMap<Source, usize>>>);

/// Share of a connection in its source's bound; returned when dropped.
#[derive(Debug)]
struct Place(Peers, Source);

impl Peers {
    fn enter(&self, address: IpAddr) -> Option<Place> {
        let source = Source::of(address);
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = peers.entry(source).or_default();
        if *count >= OF_ONE {
            return None;
        }
        *count += 1;
        Some(Place(self.clone(), source))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut peers = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = peers.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&self.1);
            }
        }
    }
}
