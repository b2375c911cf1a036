//! Embedded server and worker: both in this process, for `standalone` and `run`. They communicate over the network
//! only, as if they were apart.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::Flock;
use url::Url;

use super::client::OperatorClient;
use super::exit::{CANNOT_CREATE, CommandFailure, FAILURE, TEMPORARY};
use super::ports;
use crate::config::{self, Surroundings};
use crate::daemon;
use crate::execution::ShimProgram;
use crate::run::{ApiKey, Secret};
use crate::server::data::DataError;
use crate::server::domain::model::Worker as WorkerRow;
use crate::server::domain::title::Title;
use crate::server::store::changes::ChangeNotice;
use crate::server::store::{EntityName, NewWorker, StoreError};
use crate::server::{self, Server, ServerError};
use crate::wire::operator::DEFAULT;
use crate::worker::{self, RunningWorker};

/// API key and title of the worker.
const WORKER: &str = "local";
/// Time that the server may take to hear from a worker in this process.
const FIRST_PING: Duration = Duration::from_secs(2);

/// Settings of a worker in this process besides the address of its server.
#[derive(Clone, Copy, Debug)]
pub struct WorkerOptions {
    /// Slots of the worker, which is the number of runs at once.
    pub concurrent_jobs: u32,
    /// Interval in seconds at which the log of a running script is sent, as the configuration writes it.
    pub log_update_interval: &'static str,
}

/// Running server and worker of this process.
pub struct Embedded {
    server: Server,
    worker: RunningWorker,
    /// Lock of the worker's state directory, held as long as this lives.
    _state: Flock<std::fs::File>,
}

impl Embedded {
    /// Starts the server, then the worker. If a port is taken, any free port of the address is used instead.
    pub async fn start(mut settings: server::Settings, options: WorkerOptions) -> Result<Self, CommandFailure> {
        // Before any secret is read: no core dump is written, and no other process of the user can read our memory.
        let _ = nix::sys::prctl::set_dumpable(false);
        daemon::give_back_large_pieces();
        // The server needs many descriptors; the shims give jobs the user's own limit back.
        let shims =
            ShimProgram { descriptors: server::http::connections::raise_descriptor_limit(), ..ShimProgram::default() };
        let data = std::path::absolute(&settings.data)
            .map_err(|e| CommandFailure::new(CANNOT_CREATE, format!("{}: {e}", settings.data.display())))?;
        let server = loop {
            // The loop ends: each port gives way at most once, because a port chosen by the system is free.
            match Server::start(settings.clone()).await {
                Ok(server) => break server,
                Err(e) if ports::replace_taken_port(&mut settings, &e) => {}
                Err(e) => return Err(failure(&e)),
            }
        };
        // The worker is created in the database rather than over the API, since its secret is told only once there.
        let row = own_worker(&server).await?;
        let state = data.join("worker");
        let settings = settings_of(&server, &row, &state, options)?;
        let lock =
            daemon::take_state(&settings.state_path).map_err(|e| CommandFailure::new(e.exit_code(), e.to_string()))?;
        let worker = RunningWorker::start(settings, shims);
        let worker = worker.await.map_err(|e| CommandFailure::of(FAILURE, &e))?;
        Ok(Self { server, worker, _state: lock })
    }

    /// Returns the running server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Returns the running worker.
    pub fn worker(&self) -> &RunningWorker {
        &self.worker
    }

    /// Waits, for a limited time, until the server has heard from the worker: of a run that is created before, the
    /// server would say that its worker has never answered.
    pub async fn await_worker(&self) {
        // Subscribed before the first check, so that no change is missed in between.
        let app = self.server.app_state();
        let mut changes = app.changes().subscribe();
        let has_pinged = async {
            let is_heard = async || {
                let worker = app.store.worker_of_key(WORKER).await.ok().flatten();
                worker.is_some_and(|worker| worker.heard().is_some())
            };
            while !is_heard().await && changes.next().await != ChangeNotice::Closed {}
        };
        let _ = tokio::time::timeout(FIRST_PING, has_pinged).await;
    }

    /// Creates a client for the server in this process.
    pub fn client(&self) -> Result<OperatorClient, CommandFailure> {
        OperatorClient::new(url(&self.server)?, self.server.app_state().token.clone())
    }

    /// Stops both after a drain: the worker first, so that it can report everything to the server.
    pub async fn stop(self) {
        self.worker.leave().await;
        self.server.stop().await;
    }

    /// Stops both at once: running scripts go on, and the next start takes them up.
    pub async fn hand_over(self) {
        self.worker.hand_over().await;
        self.server.stop().await;
    }
}

/// Returns the address of a server in this process.
pub fn url(server: &Server) -> Result<Url, CommandFailure> {
    let url = format!("http://{}/", server.http());
    Url::parse(&url).map_err(|e| CommandFailure::new(FAILURE, format!("{url}: {e}")))
}

/// Converts an error of the server's start into a failure with its exit code.
pub fn failure(error: &ServerError) -> CommandFailure {
    let code = match error {
        ServerError::Data(DataError::Taken(_)) => TEMPORARY,
        ServerError::Data(_) | ServerError::Token(..) | ServerError::Store(_) => CANNOT_CREATE,
        _ => FAILURE,
    };
    CommandFailure::of(code, error)
}

/// Returns the worker of this process from the server's database, adding it at the first start.
async fn own_worker(server: &Server) -> Result<WorkerRow, CommandFailure> {
    let failed = |e: StoreError| CommandFailure::of(FAILURE, &e);
    let store = &server.app_state().store;
    if let Some(row) = store.worker_of_key(WORKER).await.map_err(failed)? {
        return Ok(row);
    }
    let api_key = ApiKey::parse(WORKER).map_err(|e| CommandFailure::new(FAILURE, e))?;
    let secret = server::identity::token::random()
        .map_err(|e| CommandFailure::new(FAILURE, format!("no secret can be made: {e}")))?;
    let new = NewWorker { title: Title::fixed(WORKER), api_key, secret: Secret::new(secret.into_bytes()) };
    store.add_worker(&EntityName::Default(Title::fixed(DEFAULT)), &new).await.map_err(failed)
}

fn settings_of(
    server: &Server,
    row: &WorkerRow,
    state: &Path,
    options: WorkerOptions,
) -> Result<worker::Settings, CommandFailure> {
    let scripts = state.join("scripts");
    std::fs::create_dir_all(&scripts)
        .map_err(|e| CommandFailure::new(CANNOT_CREATE, format!("{}: {e}", scripts.display())))?;
    let (set, base) = (&server.app_state().settings, url(server)?);
    let slots = options.concurrent_jobs.to_string();
    let (events, broadcaster) = (set.events.port().to_string(), set.broadcaster.port().to_string());
    let secret = String::from_utf8_lossy(row.secret.expose()).into_owned();
    let texts = [
        ("api_base_url", base.as_str()),
        ("api_key", row.api_key.as_str()),
        ("secret", &secret),
        ("ws_server_hostname", &set.events.ip().to_string()),
        ("ws_server_port", &events),
        ("broadcaster_server_hostname", &set.broadcaster.ip().to_string()),
        ("broadcaster_server_port", &broadcaster),
        // Orders come over the WebSocket and, as for any worker, over the broadcaster as well.
        ("ws_url", &format!("ws://{}/worker", set.http)),
        ("concurrent_jobs", &slots),
        ("state_path", text(state)?),
        ("script_temp_path", text(&scripts)?),
        ("log_update_interval", options.log_update_interval),
    ];
    let built = config::built(&texts, &Surroundings::of_process())
        .map_err(|e| CommandFailure::new(FAILURE, e.mistakes.join("; ")))?;
    let config::Settings { upstream, intake, execution, report, daemon } = built;
    // The state belongs to the data directory, whatever port was free this time.
    let belongs_to = format!("the server of {}", row.id);
    Ok(worker::Settings {
        upstream,
        intake,
        execution,
        report,
        state_path: daemon.state_path,
        // Nothing would start this worker again.
        restarts: false,
        belongs_to,
    })
}

fn text(path: &Path) -> Result<&str, CommandFailure> {
    path.to_str()
        .ok_or_else(|| CommandFailure::new(CANNOT_CREATE, format!("{}: is no UTF-8", PathBuf::from(path).display())))
}
