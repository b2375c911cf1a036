//! Worker: builds sources, intake, execution and report, and wires them left to right.
//!
//! Leaving runs in the same direction: the intake takes no new runs, slots become free, sources stop, couriers deliver
//! what they can.

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
use crate::report::{
    DeadLetter, EventPublisher, Outbox, OutboxError, OutboxLocation, Recipient, RememberedStateFile, Reporter,
};
use crate::run::Cause;
use crate::run::worker_lifecycle::Leave;
use crate::source::UpstreamSettings;
use crate::source::broadcast::Broadcast;
use crate::source::flamenco::FlamencoSource;
use crate::source::leftover::LeftoverSource;
use crate::source::status_reporter::StatusReporter;
use crate::source::websocket::{OrderSource, WebSocket};
use crate::upstream::flamenco::FlamencoClient;
use crate::upstream::job_runner::{self, InstanceOrigin, RestClient, instance_of};
use crate::upstream::{ClientError, TlsError, Upstream, tls_config};
use crate::{execution, report};

/// Longest silence of the server after which a worker that leaves still waits for an answer.
const LAST_ATTEMPT: Duration = Duration::from_secs(10);

/// Settings of a worker, one part for each layer.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Settings of the service that gives the worker its runs.
    pub upstream: UpstreamSettings,
    /// Settings that decide whether and when an order is followed.
    pub intake: intake::Settings,
    /// Settings for executing runs.
    pub execution: execution::Settings,
    /// Settings for the outbox, logs and events.
    pub report: report::Settings,
    /// State directory, which belongs to this worker alone.
    pub state_path: PathBuf,
    /// Whether the supervisor starts the worker again after a restart, that is, whether an exit code for it is
    /// configured.
    pub restarts: bool,
    /// Address of the server to which the runs in the state directory belong; a directory of another server is refused.
    pub belongs_to: String,
}

/// Longest wait for the answer to a call that is under way at a hand-over.
const LAST_CALL: Duration = Duration::from_millis(1500);

/// Longest attempt to report to the server that the worker leaves.
const DEPARTURE_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest wait for ZeroMQ at the end: longer than events are flushed, shorter than a name server may take.
const LAST_EVENTS: Duration = Duration::from_secs(3);

/// Reason why a worker cannot be started or reconfigured.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The REST client cannot be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The TLS configuration for the WebSocket source cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The outbox cannot be opened or read.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The state directory cannot be used.
    #[error("the state directory {0} cannot be used")]
    State(PathBuf, #[source] io::Error),
    /// A ZeroMQ socket cannot be created.
    #[error("ZeroMQ: {0}")]
    ZeroMq(#[from] zmq::Error),
}

/// Running worker, with the handles of all its parts.
pub struct RunningWorker {
    upstream: Upstream,
    intake: Intake,
    reporter: Reporter,
    execution: Execution,
    sources: Sources,
    stop: CancellationToken,
    begun: Instant,
}

/// Running sources, by the kind of service.
enum Sources {
    JobRunner { broadcast: Broadcast, websocket: WebSocket, status_reporter: StatusReporter, publisher: JoinHandle<()> },
    Flamenco(FlamencoSource),
}

/// Client of the service, and the recipient of the reports.
struct Connected {
    upstream: Upstream,
    recipient: Recipient,
    /// Thread that publishes events; `None` where the service takes none.
    publisher: Option<JoinHandle<()>>,
    /// Origin of the instance id.
    origin: InstanceOrigin,
}

/// Sets up the client of the service.
fn connect(settings: &Settings) -> Result<Connected, WorkerError> {
    let state = &settings.state_path;
    match &settings.upstream {
        UpstreamSettings::JobRunner { rest, .. } => {
            let (instance, origin) = instance_of(state).map_err(|e| WorkerError::State(state.clone(), e))?;
            let client = RestClient::of_instance(rest.clone(), instance)?;
            let (event_publisher, publisher) = EventPublisher::start(settings.report.ws_server())?;
            let recipient = Recipient::JobRunner { client: client.clone(), event_publisher };
            Ok(Connected { upstream: Upstream::JobRunner(client), recipient, publisher: Some(publisher), origin })
        }
        UpstreamSettings::Flamenco { client, push, .. } => {
            let client = FlamencoClient::new(client.clone())?;
            let recipient = Recipient::Flamenco { client: client.clone(), push: *push };
            let upstream = Upstream::Flamenco(client);
            Ok(Connected { upstream, recipient, publisher: None, origin: InstanceOrigin::Kept })
        }
    }
}

/// Snapshot of a worker; the daemon sends it as JSON in answer to a status request.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerStatus {
    /// Version of this program, as Cargo knows it.
    pub version: &'static str,
    /// Process id of the worker.
    pub pid: u32,
    /// API key with which the worker signs.
    pub api_key: String,
    /// Seconds since the worker was started.
    pub uptime_seconds: u64,
    /// Health of the server: `unknown`, `ok`, `failing`, `refused`, `occupied`.
    pub server: &'static str,
    /// Seconds since the server accepted the answer to a ping; `None` before the first.
    pub seconds_since_ping: Option<u64>,
    /// Mechanism by which kills reach every process: `cgroup` or `subreaper`; `None` before the first run.
    pub supervision: Option<String>,
    /// Runs and kill requests under way.
    #[serde(flatten)]
    pub intake: intake::IntakeStatus,
    /// Number of runs of which the server does not have all facts yet.
    pub undelivered: usize,
    /// Number of runs that are over and whose results the server has not taken.
    pub backlog: usize,
    /// Facts that the server did not take: the last hundred of the last thirty days, the oldest first.
    pub dead_letters: Vec<DeadLetterInfo>,
}

/// Fact about a run that the server did not take, as the status shows it.
#[derive(Clone, Debug, Serialize)]
pub struct DeadLetterInfo {
    /// UTC time at which the fact was given up or last rejected.
    pub at: String,
    /// Number of the run that the fact is about.
    pub run: i64,
    /// Kind of fact: `log` or `result`; earlier versions also gave up a `start`.
    pub what: String,
    /// Reason, as the server or the client gave it.
    pub reason: String,
}

impl From<DeadLetter> for DeadLetterInfo {
    fn from(DeadLetter { at, run, what, reason }: DeadLetter) -> Self {
        Self { at, run: run.get(), what, reason }
    }
}

impl RunningWorker {
    /// Starts the worker: takes up what the last process left behind, then connects to the sources.
    ///
    /// # Errors
    /// If the settings or the state directory cannot be used. A server that does not answer is no error.
    pub async fn start(settings: Settings, shim: ShimProgram) -> Result<Self, WorkerError> {
        let state = settings.state_path.clone();
        let policy = settings.intake.incomplete_runs;
        let slots = settings.intake.concurrent_jobs as usize;
        let websocket = websocket(&settings.upstream)?;

        // The outbox is opened first, because it refuses a state directory that belongs to another server.
        let place = OutboxLocation {
            path: state.join("outbox.sqlite"),
            server: settings.belongs_to.clone(),
            durability: settings.report.durability,
            reserve: settings.intake.min_free_bytes,
        };
        let (outbox, found) = Outbox::open(place).await?;
        let Connected { upstream, recipient, publisher, origin } = connect(&settings)?;
        let execution = Execution::new(settings.execution, &state, shim, slots)
            .map_err(|e| WorkerError::State(state.clone(), e))?;
        let logs = Arc::new(execution.logs().clone());
        let reporter = Reporter::new(recipient, outbox, logs, settings.report, found.dead_letters);
        let remembered_file = RememberedStateFile::of(&state);
        let intake =
            Intake::open(upstream.clone(), reporter.clone(), execution.clone(), settings.intake, remembered_file);

        let stop = CancellationToken::new();
        let parts = SourceParts { intake: intake.clone(), reporter: reporter.clone(), restarts: settings.restarts };
        let reporting = parts.report_status(&upstream);
        let leftovers = LeftoverSource {
            intake: intake.clone(),
            reporter: reporter.clone(),
            execution: execution.clone(),
            upstream: upstream.clone(),
            policy,
            origin,
        };
        // Leftovers are taken up before any source is connected, so that an order for one of their runs finds it known.
        leftovers.take_up(found.runs, found.kills).await;
        tokio::spawn(stop.clone().run_until_cancelled_owned(leftovers.account_for_unknown()));
        let sources = parts.start(&upstream, settings.upstream, websocket, reporting.zip(publisher), &stop)?;
        let begun = Instant::now();
        Ok(Self { upstream, intake, reporter, execution, sources, stop, begun })
    }

    /// Applies other settings from now on. API key, server and state directory must be the same.
    ///
    /// # Errors
    /// If the settings cannot be used; nothing changes then.
    pub async fn reconfigure(&self, settings: Settings) -> Result<(), WorkerError> {
        // Steps that can fail come first, so that a refusal changes nothing.
        let target = websocket(&settings.upstream)?;
        match (&self.upstream, &self.sources, settings.upstream) {
            (
                Upstream::JobRunner(client),
                Sources::JobRunner { broadcast, websocket, .. },
                UpstreamSettings::JobRunner { rest, source },
            ) => {
                client.reconfigure(rest)?;
                websocket.reconfigure(target);
                broadcast.reconfigure(source);
            }
            (Upstream::Flamenco(client), Sources::Flamenco(_), UpstreamSettings::Flamenco { client: settings, .. }) => {
                client.reconfigure(settings)?;
            }
            // The kind of service is that of the program, and so a reload never changes it.
            (Upstream::JobRunner(_) | Upstream::Flamenco(_), _, _) => {}
        }
        self.execution.reconfigure(settings.execution, settings.intake.concurrent_jobs as usize);
        self.reporter.reconfigure(settings.report);
        self.intake.reconfigure(settings.intake).await;
        Ok(())
    }

    /// Takes no new runs from now on. Returns when nothing is under way any more, or when what is left needs a server
    /// that has not answered for 10 s.
    pub async fn drain(&self) {
        self.intake.drain().await;
        let mut idle = Instant::now();
        loop {
            if self.intake.wait_until_nothing_executes().await {
                // A worker that makes no calls while its scripts run has not been left without an answer: silence
                // counts from the end of the last script.
                idle = Instant::now();
            }
            let silent = self.upstream.health().since_answer().map_or(idle.elapsed(), |s| s.min(idle.elapsed()));
            let patience = LAST_ATTEMPT.saturating_sub(silent);
            if patience.is_zero() || tokio::time::timeout(patience, self.intake.drained()).await.is_ok() {
                return;
            }
        }
    }

    /// Takes new runs or none from now on, also after the next start. Returns false, and changes nothing, where the
    /// worker is about to leave.
    pub async fn want(&self, wanted: SleepState) -> bool {
        self.intake.sleep_or_wake(wanted).await
    }

    /// Delivers at once all facts that wait for a retry, whether or not the server rejected them before.
    pub fn retry(&self) {
        self.reporter.retry();
    }

    /// Waits until a command to leave is carried out, that is, until nothing is under way any more.
    pub async fn asked_to_leave(&self) -> Leave {
        let mut state = self.intake.state();
        match state.wait_for(|state| state.exit.is_some()).await.map(|state| state.exit) {
            Ok(Some(leave)) => leave,
            _ => std::future::pending().await,
        }
    }

    /// Waits until the service refuses the worker for good; for ever where it does not.
    pub async fn refused(&self) {
        match &self.sources {
            Sources::JobRunner { .. } => std::future::pending().await,
            Sources::Flamenco(source) => source.refused().await,
        }
    }

    /// Returns the number of scripts that run, with every change of it.
    #[must_use]
    pub fn executing(&self) -> watch::Receiver<usize> {
        self.intake.executing()
    }

    /// Stops the scripts of all runs under way.
    pub async fn stop_runs(&self) {
        let cause = match self.upstream {
            Upstream::JobRunner(_) => Cause::Interrupted,
            // A Manager counts a task that was stopped as failed, unless it gets the task back.
            Upstream::Flamenco(_) => Cause::GivenBack,
        };
        self.intake.stop_all(cause).await;
    }

    /// Takes no new runs from now on, stops the scripts of all runs under way, and gives the runs back.
    pub async fn give_back_runs(&self) {
        // First, so that a run that is just being given to this worker is given back, too.
        self.intake.drain().await;
        self.intake.stop_all(Cause::GivenBack).await;
    }

    /// Leaves after a drain: delivers what the server takes in time; the rest is on disk.
    pub async fn leave(self) {
        self.stop.cancel();
        self.reporter.flush(LAST_ATTEMPT).await;
        self.intake.has_left().await;
        let departure = async {
            match &self.sources {
                Sources::JobRunner { status_reporter, .. } => status_reporter.departure_reported().await,
                Sources::Flamenco(source) => source.sign_off().await,
            }
        };
        let _ = tokio::time::timeout(DEPARTURE_TIMEOUT, departure).await;
        self.part().await;
    }

    /// Leaves at once: runs continue under their shims, and the next start takes them up.
    pub async fn hand_over(self) {
        self.stop.cancel();
        self.reporter.leave(LAST_CALL).await;
        self.part().await;
    }

    async fn part(self) {
        // A full disk must not keep the worker from leaving: runs under way are also in the records of their shims.
        let _ = tokio::time::timeout(LAST_ATTEMPT, self.reporter.outbox().settle()).await;
        let Self { reporter, sources, .. } = self;
        let Sources::JobRunner { broadcast, publisher, .. } = sources else { return };
        // Joining a thread blocks, and a name server may hold up libzmq.
        let parting = tokio::task::spawn_blocking(move || {
            reporter.close_events();
            let _ = publisher.join();
            broadcast.stop();
        });
        let _ = tokio::time::timeout(LAST_EVENTS, parting).await;
    }

    /// Returns a snapshot of the worker.
    pub async fn status(&self) -> WorkerStatus {
        let health = self.upstream.health();
        WorkerStatus {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            api_key: self.upstream.worker(),
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

/// Handles and settings that sources are started with.
struct SourceParts {
    intake: Intake,
    reporter: Reporter,
    restarts: bool,
}

impl SourceParts {
    /// Starts to report the status of the worker, where the service takes reports.
    fn report_status(&self, upstream: &Upstream) -> Option<StatusReporter> {
        let client = upstream.job_runner()?.clone();
        Some(StatusReporter::start(client, self.intake.clone(), self.reporter.clone(), self.restarts))
    }

    /// Starts the sources of orders.
    fn start(
        self,
        upstream: &Upstream,
        settings: UpstreamSettings,
        websocket: Option<OrderSource>,
        reporting: Option<(StatusReporter, JoinHandle<()>)>,
        stop: &CancellationToken,
    ) -> Result<Sources, WorkerError> {
        let Self { intake, reporter, .. } = self;
        match (upstream, settings, reporting) {
            (
                Upstream::JobRunner(client),
                UpstreamSettings::JobRunner { rest, source },
                Some((status_reporter, publisher)),
            ) => {
                let websocket = WebSocket::start(websocket, client.clone(), intake.clone(), stop.clone());
                let broadcast = Broadcast::start(source, &rest.api_key, intake)?;
                Ok(Sources::JobRunner { broadcast, websocket, status_reporter, publisher })
            }
            (Upstream::Flamenco(client), UpstreamSettings::Flamenco { source, .. }, _) => {
                Ok(Sources::Flamenco(FlamencoSource::start(client.clone(), intake, reporter, source, stop.clone())))
            }
            (Upstream::JobRunner(_) | Upstream::Flamenco(_), _, _) => {
                unreachable!("the client is made from the settings")
            }
        }
    }
}

/// Returns the WebSocket server that sends orders, or `None` where no URL is configured.
fn websocket(settings: &UpstreamSettings) -> Result<Option<OrderSource>, TlsError> {
    let UpstreamSettings::JobRunner { rest, source } = settings else { return Ok(None) };
    let Some(url) = source.ws_url.clone() else { return Ok(None) };
    let job_runner::Settings { tls_verify, ca_file, .. } = rest;
    let tls = tls_config(url.scheme() == "wss", *tls_verify, ca_file.as_deref())?;
    Ok(Some(OrderSource { url, tls: Arc::new(tls) }))
}
