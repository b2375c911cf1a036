//! A port: takes connections, so many at once of all and of one address, and gives each a task.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::server::http::connections::usable_at_zmq;

/// How many connections at once, where there are descriptors for them.
const ALL: usize = 4096;
/// How many of them from one address: workers behind one proxy share one.
const OF_ONE: usize = 1024;
/// How long after a connection that could not be taken, for lack of descriptors, the next one is.
const AGAIN: Duration = Duration::from_millis(100);

/// A port that listens.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

impl Port {
    /// Listens at an address.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has each connection served until all stop. One too many is closed at once.
    pub async fn serve<F: Future<Output = ()> + Send + 'static>(
        self,
        stop: &CancellationToken,
        serve: impl Fn(TcpStream) -> F,
    ) {
        let (peers, all) = (Peers::default(), usable_at_zmq(ALL));
        let mut tasks = JoinSet::new();
        loop {
            let taken = tokio::select! {
                () = stop.cancelled() => return,
                Some(_) = tasks.join_next() => continue,
                taken = self.listener.accept() => taken,
            };
            match taken {
                Ok((stream, peer)) => {
                    if tasks.len() < all
                        && let Some(place) = peers.enter(peer.ip())
                    {
                        let _ = stream.set_nodelay(true);
                        let served = serve(stream);
                        tasks.spawn(async move {
                            served.await;
                            drop(place);
                        });
                    }
                }
                Err(_) => sleep(AGAIN).await,
            }
        }
    }
}

/// How many connections there are from each address.
#[derive(Clone, Debug, Default)]
struct Peers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The place of a connection among those of its address.
#[derive(Debug)]
struct Place(Peers, IpAddr);

impl Peers {
    fn enter(&self, address: IpAddr) -> Option<Place> {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = peers.entry(address).or_default();
        if *count >= OF_ONE {
            return None;
        }
        *count += 1;
        Some(Place(self.clone(), address))
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
