//! The worker, wired on one page: sources, intake, execution, report, left to right. Its end is the same
//! page read aloud: the door closes, seats come home, sources stop, couriers flush.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::execution::{Execution, ShimProgram};
use crate::intake::{self, Intake, SleepState};
use crate::report::{DeadLetter, EventPublisher, Outbox, OutboxError, OutboxLocation, Reporter, WorkerMemory};
use crate::rest::{ClientError, RestClient, TlsError, instance_of};
use crate::run::lifecycle::Leave;
use crate::run::{ApiKey, Cause};
use crate::source::broadcast::Broadcast;
use crate::source::leftover::LeftoverSource;
use crate::source::websocket::{OrderSource, WebSocket};
use crate::{execution, report, rest, source};

/// How long after the server's last answer a worker that leaves still waits for the next.
const LAST_ATTEMPT: Duration = Duration::from_secs(10);

/// What each room needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The signed HTTP client.
    pub rest: rest::Settings,
    /// Where orders come from.
    pub source: source::Settings,
    /// Whether and when an order is followed.
    pub intake: intake::Settings,
    /// How runs are executed.
    pub execution: execution::Settings,
    /// Where facts are carried.
    pub report: report::Settings,
    /// The state directory, which is ours alone.
    pub state_path: PathBuf,
    /// Whether whoever started us starts us again when we leave for that.
    pub restarts: bool,
    /// Whose runs the state is about. It is refused to anybody else.
    pub belongs_to: String,
}

/// How long a worker that hands over waits for the answer to a call that is under way.
const LAST_CALL: Duration = Duration::from_millis(1500);

/// How long a worker that leaves tries to tell that it does.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long ZeroMQ is waited for at the end: longer than events are flushed, shorter than a name server may take.
const LAST_EVENTS: Duration = Duration::from_secs(3);

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The REST client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The state directory.
    #[error("the state directory {0} cannot be used")]
    State(PathBuf, #[source] io::Error),
    /// ZeroMQ.
    #[error("ZeroMQ: {0}")]
    ZeroMq(#[from] zmq::Error),
}

/// A worker at work.
pub struct RunningWorker {
    client: RestClient,
    intake: Intake,
    reporter: Reporter,
    execution: Execution,
    broadcast: Broadcast,
    websocket: WebSocket,
    stop: CancellationToken,
    publisher: JoinHandle<()>,
    begun: Instant,
}

/// What is known, for people.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerStatus {
    /// This program's version.
    pub version: &'static str,
    /// Its process.
    pub pid: u32,
    /// Who it works as.
    pub api_key: String,
    /// How long it has worked.
    pub uptime_seconds: u64,
    /// How the server has been lately: `unknown`, `ok`, `failing`, `refused`, `occupied`.
    pub server: &'static str,
    /// How long ago a ping was answered.
    pub seconds_since_ping: Option<u64>,
    /// How kills are made sure of: `cgroup`, `subreaper`; nothing before the first run.
    pub supervision: Option<String>,
    /// Runs and kills under way.
    #[serde(flatten)]
    pub intake: intake::IntakeStatus,
    /// Runs of which the server does not know all yet.
    pub undelivered: usize,
    /// How many runs are over and wait for the server to take their results.
    pub backlog: usize,
    /// Facts that were given up, the last hundred of the last thirty days.
    pub dead_letters: Vec<DeadLetterInfo>,
}

/// A fact that was given up.
#[derive(Clone, Debug, Serialize)]
pub struct DeadLetterInfo {
    /// When, in UTC.
    pub at: String,
    /// The run.
    pub run: i64,
    /// Which fact of it: `start`, `log`, `result`.
    pub what: String,
    /// Why.
    pub reason: String,
}

impl From<DeadLetter> for DeadLetterInfo {
    fn from(DeadLetter { at, run, what, reason }: DeadLetter) -> Self {
        Self { at, run: run.get(), what, reason }
    }
}

impl RunningWorker {
    /// Begins to work: first what was left behind, then what is ordered.
    ///
    /// # Errors
    /// What is wrong with the settings or the state directory. A server that is away is no error.
    pub async fn start(settings: Settings, shim: ShimProgram) -> Result<Self, WorkerError> {
        let state = settings.state_path.clone();
        let key: ApiKey = settings.rest.api_key.clone();
        let policy = settings.intake.incomplete_runs;
        let seats = settings.intake.concurrent_jobs as usize;
        let websocket = websocket(&settings)?;

        let place = OutboxLocation {
            path: state.join("outbox.sqlite"),
            server: settings.belongs_to,
            durability: settings.report.durability,
            reserve: settings.intake.min_free_bytes,
        };
        let (outbox, found) = Outbox::open(place).await?;
        let (instance, origin) = instance_of(&state).map_err(|e| WorkerError::State(state.clone(), e))?;
        let client = RestClient::of_instance(settings.rest, instance)?;
        let (events, publisher) = EventPublisher::start(settings.report.ws_server())?;
        let execution = Execution::new(settings.execution, &state, shim, seats)
            .map_err(|e| WorkerError::State(state.clone(), e))?;
        let logs = Arc::new(execution.logs().clone());
        let reporter = Reporter::new(client.clone(), outbox, events, logs, settings.report, found.dead_letters);
        let (memory, restarts) = (WorkerMemory::of(&state), settings.restarts);
        let intake =
            Intake::open(client.clone(), reporter.clone(), execution.clone(), settings.intake, memory, restarts);

        let leftovers = LeftoverSource {
            intake: intake.clone(),
            reporter: reporter.clone(),
            execution: execution.clone(),
            client: client.clone(),
            policy,
            origin,
        };
        leftovers.take_up(found.runs, found.kills).await;
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(leftovers.account_for_unknown()));
        let websocket = WebSocket::start(websocket, client.clone(), intake.clone(), stop.clone());
        let broadcast = Broadcast::start(settings.source, &key, intake.clone())?;
        let begun = Instant::now();
        Ok(Self { client, intake, reporter, execution, broadcast, websocket, stop, publisher, begun })
    }

    /// Works under other settings from now on. Who it is, whom it works for and where its state lies must be the same.
    ///
    /// # Errors
    /// What is wrong with them; nothing changes then.
    pub async fn reconfigure(&self, settings: Settings) -> Result<(), WorkerError> {
        let websocket = websocket(&settings)?;
        self.client.reconfigure(settings.rest)?;
        self.websocket.reconfigure(websocket);
        self.broadcast.reconfigure(settings.source);
        self.execution.reconfigure(settings.execution, settings.intake.concurrent_jobs as usize);
        self.reporter.reconfigure(settings.report);
        self.intake.reconfigure(settings.intake).await;
        Ok(())
    }

    /// Takes no new runs from now on, and answers when nothing is under way any more, or cannot be told to a server
    /// that is away.
    pub async fn drain(&self) {
        self.intake.drain().await;
        let mut idle = Instant::now();
        loop {
            if self.intake.nothing_executes().await {
                // Who had nothing to ask for a long time has not been left without an answer.
                idle = Instant::now();
            }
            let silent = self.client.health().since_answer().map_or(idle.elapsed(), |s| s.min(idle.elapsed()));
            let patience = LAST_ATTEMPT.saturating_sub(silent);
            if patience.is_zero() || tokio::time::timeout(patience, self.intake.drained()).await.is_ok() {
                return;
            }
        }
    }

    /// Takes new runs or none from now on, also after the next start. False where it is about to leave.
    pub async fn want(&self, wakefulness: SleepState) -> bool {
        self.intake.want(wakefulness).await
    }

    /// Tells the server at once what waits to be told, rejected or not.
    pub fn retry(&self) {
        self.reporter.retry();
    }

    /// Waits until it is to leave because it was asked to and nothing is under way any more.
    pub async fn asked_to_leave(&self) -> Leave {
        let mut standing = self.intake.standing();
        match standing.wait_for(|standing| standing.leave.is_some()).await.map(|standing| standing.leave) {
            Ok(Some(leave)) => leave,
            _ => std::future::pending().await,
        }
    }

    /// How many scripts run, from now on.
    #[must_use]
    pub fn executing(&self) -> watch::Receiver<usize> {
        self.intake.executing()
    }

    /// Stops every run under way.
    pub async fn stop_runs(&self) {
        self.intake.stop_all(Cause::Interrupted).await;
    }

    /// Leaves after a drain: what can be told is told, the rest is on disk.
    pub async fn leave(self) {
        self.stop.cancel();
        self.reporter.flush(LAST_ATTEMPT).await;
        self.intake.dismiss(FAREWELL).await;
        self.part().await;
    }

    /// Leaves at once: runs go on under their shims, and the next start takes them up.
    pub async fn hand_over(self) {
        self.stop.cancel();
        self.reporter.leave(LAST_CALL).await;
        self.part().await;
    }

    async fn part(self) {
        // A disk that is full keeps nobody here: what is under way is in the records of the runs.
        let _ = tokio::time::timeout(LAST_ATTEMPT, self.reporter.outbox().settle()).await;
        let Self { reporter, publisher, broadcast, .. } = self;
        let parting = tokio::task::spawn_blocking(move || {
            reporter.close_events();
            let _ = publisher.join();
            broadcast.stop();
        });
        let _ = tokio::time::timeout(LAST_EVENTS, parting).await;
    }

    /// What is known.
    pub async fn status(&self) -> WorkerStatus {
        let health = self.client.health();
        WorkerStatus {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            api_key: self.client.api_key().to_string(),
            uptime_seconds: self.begun.elapsed().as_secs(),
            server: health.verdict().name(),
            seconds_since_ping: health.since_ping().map(|since| since.as_secs()),
            supervision: self.execution.supervision(),
            intake: self.intake.status().await,
            undelivered: self.reporter.undelivered(),
            backlog: *self.reporter.backlog().borrow(),
            dead_letters: self.reporter.dead_letters().into_iter().map(DeadLetterInfo::from).collect(),
        }
    }
}

/// The WebSocket server that sends orders, if there is one.
fn websocket(settings: &Settings) -> Result<Option<OrderSource>, TlsError> {
    let Some(url) = settings.source.ws_url.clone() else { return Ok(None) };
    let rest::Settings { tls_verify, ca_file, .. } = &settings.rest;
    let tls = rest::tls_config(url.scheme() == "wss", *tls_verify, ca_file.as_deref())?;
    Ok(Some(OrderSource { url, tls: Arc::new(tls) }))
}
