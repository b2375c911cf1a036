//! A TCP relay in front of a socket: it can be closed, cut and frozen without the socket's knowledge.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::ledger::{Ledger, State};

/// How many connections a link has carried.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkCounters {
    /// Accepted since the start.
    pub opened: usize,
    /// Neither ended by the client nor by us.
    pub open: usize,
}

/// Which of the state's counters belong to a link.
pub type Counters = fn(&mut State) -> &mut LinkCounters;

/// The public address of a socket.
pub struct Link {
    pub address: SocketAddr,
    target: SocketAddr,
    ledger: Arc<Ledger>,
    counters: Counters,
    frozen: watch::Sender<bool>,
    /// Ends the connections that are open.
    cut: Arc<Mutex<CancellationToken>>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

/// Why a connection was not carried to its natural end.
enum Interrupted {
    Frozen,
    Cut,
}

impl Link {
    /// A link to `target` on a free loopback port.
    pub async fn start(ledger: Arc<Ledger>, target: SocketAddr, counters: Counters) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let link = Self {
            address,
            target,
            ledger,
            counters,
            frozen: watch::Sender::new(false),
            cut: Arc::default(),
            accepting: Mutex::new(None),
        };
        link.serve(listener);
        link
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Nothing passes any more, but everybody stays connected: what a load balancer shows whose back
    /// end is gone. New connections are accepted and carry nothing either.
    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    /// New connections work again. Those that were caught by [`Link::freeze`] stay dead for ever.
    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }

    /// Resets every open connection; new ones are accepted.
    pub fn cut(&self) {
        let open = std::mem::take(&mut *self.cut.lock().unwrap());
        open.cancel();
    }

    /// Resets every open connection, and nobody listens any more: the peer's process has died.
    pub async fn close(&self) {
        let accepting = self.accepting.lock().unwrap().take();
        if let Some(accepting) = accepting {
            accepting.abort();
            let _ = accepting.await;
        }
        self.cut();
    }

    /// Listens again on the same port.
    pub async fn reopen(&self) {
        if self.accepting.lock().unwrap().is_none() {
            let listener = TcpListener::bind(self.address).await.expect("our port is still free");
            self.serve(listener);
        }
    }

    fn serve(&self, listener: TcpListener) {
        let (target, counters) = (self.target, self.counters);
        let (ledger, frozen) = (self.ledger.clone(), self.frozen.subscribe());
        let current_cut = self.cut.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (ledger, frozen) = (ledger.clone(), frozen.clone());
                let cut = current_cut.lock().unwrap().clone();
                ledger.change(|state| {
                    counters(state).opened += 1;
                    counters(state).open += 1;
                });
                tokio::spawn(async move {
                    carry(client, target, frozen, cut).await;
                    ledger.change(|state| counters(state).open -= 1);
                });
            }
        });
        *self.accepting.lock().unwrap() = Some(accepting);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.lock().unwrap().take() {
            accepting.abort();
        }
        self.cut();
    }
}

async fn carry(mut client: TcpStream, target: SocketAddr, mut frozen: watch::Receiver<bool>, cut: CancellationToken) {
    let _ = client.set_nodelay(true);
    let relayed = async {
        let mut inner = TcpStream::connect(target).await?;
        inner.set_nodelay(true)?;
        copy_bidirectional(&mut client, &mut inner).await
    };
    let interrupted = tokio::select! {
        biased;
        () = cut.cancelled() => Interrupted::Cut,
        _ = frozen.wait_for(|frozen| *frozen) => Interrupted::Frozen,
        _ = relayed => return,
    };
    if let Interrupted::Frozen = interrupted {
        // What the client says is acknowledged by the kernel and goes nowhere; only its end is seen.
        let mut void = [0; 4096];
        let listening = async { while matches!(client.read(&mut void).await, Ok(n) if n > 0) {} };
        tokio::select! {
            () = cut.cancelled() => {}
            () = listening => return,
        }
    }
    let _ = client.set_zero_linger();
}
