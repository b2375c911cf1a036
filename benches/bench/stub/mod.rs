//! A server of the original's protocol that costs next to nothing: what is measured is the worker before it.
//!
//! Signed REST calls are verified and answered from memory ([`http`], [`resources`]), a ZeroMQ PUB announces, a SUB takes
//! the events ([`events`]). It shares the cores with what is measured, so it is leaner than the fixture of the tests, which
//! remembers every byte and can misbehave; it knows the same protocol, and counts what must not happen ([`ledger`]).

mod events;
mod http;
mod ledger;
mod resources;
mod signature;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::failure::Failure;
use super::moment;
pub use ledger::{Counts, Ledger, RunRow};
use signature::Signer;

/// The worker that it knows.
pub const API_KEY: &str = "measured";
/// Its secret.
pub const SECRET: &str = "verysecret";
/// How often a worker that has not answered a ping yet is pinged.
const PING: Duration = Duration::from_millis(20);

/// How a server answers that has something to do: each call takes so long, so many are served at once.
#[derive(Clone, Copy, Debug)]
pub struct Slowness {
    pub a_call: Duration,
    pub at_once: usize,
}

/// The server. Everything of it ends with it.
pub struct Stub {
    pub http: SocketAddr,
    pub broadcaster: u16,
    pub events: u16,
    shared: Arc<Shared>,
    publisher: Mutex<zmq::Socket>,
    serving: JoinHandle<()>,
    _taker: events::Taker,
}

/// What the connections share.
struct Shared {
    ledger: Mutex<Ledger>,
    signer: Signer,
    slowness: Option<(Duration, Semaphore)>,
    connections: AtomicU64,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stub {
    /// Starts it on free ports of the loopback interface.
    pub async fn start(slowness: Option<Slowness>) -> Result<Self, Failure> {
        let shared = Arc::new(Shared {
            ledger: Mutex::default(),
            signer: Signer::new(SECRET),
            slowness: slowness.map(|slow| (slow.a_call, Semaphore::new(slow.at_once))),
            connections: AtomicU64::new(0),
        });
        let context = zmq::Context::new();
        let publisher = context.socket(zmq::PUB)?;
        publisher.set_sndhwm(0)?;
        publisher.set_linger(0)?;
        let broadcaster = bind(&publisher)?;
        let subscriber = context.socket(zmq::SUB)?;
        subscriber.set_rcvhwm(0)?;
        subscriber.set_subscribe(b"worker.event")?;
        let events = bind(&subscriber)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let http = listener.local_addr()?;
        let taker = events::Taker::start(&context, subscriber, Arc::clone(&shared))?;
        let serving = tokio::spawn(http::serve(listener, Arc::clone(&shared)));
        Ok(Self { http, broadcaster, events, shared, publisher: Mutex::new(publisher), serving, _taker: taker })
    }

    /// A look at everything at once; the server waits meanwhile.
    pub fn look<R>(&self, look: impl FnOnce(&Ledger) -> R) -> R {
        look(&self.shared.ledger())
    }

    /// How many TCP connections were made so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Makes runs of a script; each has a job of its own, as one job never runs twice at once.
    pub fn make(&self, script: &str, count: usize) -> Vec<usize> {
        let script: Arc<str> = script.into();
        let mut ledger = self.shared.ledger();
        (0..count).map(|_| ledger.add_run(&script)).collect()
    }

    /// Runs that the worker has claimed already.
    pub fn claim(&self, runs: &[usize]) {
        let mut ledger = self.shared.ledger();
        runs.iter().for_each(|run| ledger.runs[*run].claimed = moment::now());
    }

    /// Announces runs.
    pub fn announce(&self, runs: &[usize]) -> Result<(), Failure> {
        for run in runs {
            self.shared.ledger().runs[*run].announced = moment::now();
            self.tell(&format!(r#"{{"action": "enqueue", "run_id": {}}}"#, run + 1))?;
        }
        Ok(())
    }

    /// Asks for the end of a run.
    pub fn kill(&self, run: usize) -> Result<usize, Failure> {
        let kill = self.shared.ledger().add_kill(run);
        self.tell(&format!(r#"{{"action": "kill", "kill_request_id": {}}}"#, kill + 1))?;
        Ok(kill)
    }

    fn tell(&self, message: &str) -> Result<(), Failure> {
        let topic = format!("master.broadcast.{API_KEY}");
        let publisher = self.publisher.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(publisher.send_multipart([topic.as_bytes(), message.as_bytes()], zmq::DONTWAIT)?)
    }

    /// Pings until the worker answers.
    pub async fn answered(&self, patience: Duration) -> Result<(), Failure> {
        let before = self.look(|ledger| ledger.counts.answers);
        let pinging = async {
            let mut due = tokio::time::interval(PING);
            loop {
                due.tick().await;
                self.tell(r#"{"action": "ping"}"#)?;
            }
        };
        tokio::select! {
            answered = self.until("an answer to a ping", patience, move |counts| counts.answers > before) => answered,
            failed = pinging => failed,
        }
    }

    /// Waits until this holds of what was counted.
    pub async fn until(
        &self,
        what: &str,
        patience: Duration,
        holds: impl Fn(&Counts) -> bool + Send + 'static,
    ) -> Result<(), Failure> {
        let held = self.shared.ledger().awaited(holds);
        match tokio::time::timeout(patience, held).await {
            Ok(_) => Ok(()),
            Err(_) => {
                let counts = self.look(|ledger| ledger.counts);
                Err(Failure(format!("no {what} within {} s: {counts:?}", patience.as_secs())))
            }
        }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Binds a socket to a free port.
fn bind(socket: &zmq::Socket) -> Result<u16, Failure> {
    socket.bind("tcp://127.0.0.1:*")?;
    let endpoint = socket.get_last_endpoint()?.unwrap_or_default();
    let port = endpoint.rsplit(':').next().and_then(|port| port.parse().ok());
    port.ok_or_else(|| Failure(format!("no port in {endpoint}")))
}
