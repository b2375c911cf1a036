//! A server and a worker in this process. They know each other over the network alone, as if they were apart.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::Flock;
use url::Url;

use super::client::OperatorClient;
use super::exit::{CANNOT_CREATE, CommandFailure, FAILURE, TEMPORARY, with_causes};
use super::ports;
use crate::config::{self, Surroundings};
use crate::daemon;
use crate::execution::ShimProgram;
use crate::run::{ApiKey, Secret};
use crate::server::data::DataError;
use crate::server::domain::model::Worker as Row;
use crate::server::store::changes::ChangeNotice;
use crate::server::store::{NewWorker, PlaceName, StoreError};
use crate::server::{self, Server, ServerError};
use crate::wire::operator::DEFAULT;
use crate::worker::{self, RunningWorker};

/// The worker's key, and its title.
const WORKER: &str = "local";
/// How long a worker in this process may take until the server has heard of it.
const FIRST_WORD: Duration = Duration::from_secs(2);

/// What a worker in this process needs to know beside where its server is.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// How many runs at once.
    pub concurrent_jobs: u32,
    /// How often the log of a run that lasts is sent, as the configuration says it.
    pub log_update_interval: &'static str,
}

/// A server and a worker.
pub struct Embedded {
    server: Server,
    worker: RunningWorker,
    /// The worker's state directory, ours while this lives.
    _state: Flock<std::fs::File>,
}

impl Embedded {
    /// Starts both. Where an address is taken, any port of it is used in its place.
    pub async fn start(mut settings: server::Settings, habits: Habits) -> Result<Self, CommandFailure> {
        // Before there is a secret: no core is written of us, and nobody of our user looks into our memory.
        let _ = nix::sys::prctl::set_dumpable(false);
        daemon::give_back_large_pieces();
        let shims =
            ShimProgram { descriptors: server::http::connections::raise_descriptor_limit(), ..ShimProgram::default() };
        let data = std::path::absolute(&settings.data)
            .map_err(|e| CommandFailure::new(CANNOT_CREATE, format!("{}: {e}", settings.data.display())))?;
        let server = loop {
            match Server::start(settings.clone()).await {
                Ok(server) => break server,
                Err(e) if ports::give_way(&mut settings, &e) => {}
                Err(e) => return Err(failure(&e)),
            }
        };
        let row = own_worker(&server).await.map_err(|e| CommandFailure::of(FAILURE, &e))?;
        let state = data.join("worker");
        let settings = settings_of(&server, &row, &state, habits)?;
        let lock =
            daemon::take_state(&settings.state_path).map_err(|e| CommandFailure::new(e.exit_code(), e.to_string()))?;
        let worker = RunningWorker::start(settings, shims);
        let worker = worker.await.map_err(|e| CommandFailure::new(FAILURE, with_causes(&e)))?;
        Ok(Self { server, worker, _state: lock })
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The worker.
    pub fn worker(&self) -> &RunningWorker {
        &self.worker
    }

    /// Waits until the server has heard of the worker, for a while at most: of a run that is made before, it would say that
    /// its worker has never answered.
    pub async fn await_worker(&self) {
        let app = self.server.app_state();
        let mut news = app.changes().subscribe();
        let heard = async {
            let is_heard = async || {
                let worker = app.store.worker_of_key(WORKER).await.ok().flatten();
                worker.is_some_and(|worker| worker.heard().is_some())
            };
            while !is_heard().await && news.next().await != ChangeNotice::Closed {}
        };
        let _ = tokio::time::timeout(FIRST_WORD, heard).await;
    }

    /// Somebody who asks the server.
    pub fn client(&self) -> Result<OperatorClient, CommandFailure> {
        OperatorClient::new(url(&self.server)?, self.server.app_state().token.clone())
    }

    /// Ends both after a drain: first the worker, so that it can tell the server everything.
    pub async fn leave(self) {
        self.worker.leave().await;
        self.server.stop().await;
    }

    /// Ends both at once: runs go on, and the next start takes them up.
    pub async fn hand_over(self) {
        self.worker.hand_over().await;
        self.server.stop().await;
    }
}

/// Where a server in this process is.
pub fn url(server: &Server) -> Result<Url, CommandFailure> {
    let url = format!("http://{}/", server.http());
    Url::parse(&url).map_err(|e| CommandFailure::new(FAILURE, format!("{url}: {e}")))
}

/// Why there is no server, as an exit.
pub fn failure(error: &ServerError) -> CommandFailure {
    let code = match error {
        ServerError::Data(DataError::Taken(_)) => TEMPORARY,
        ServerError::Data(_) | ServerError::Token(..) | ServerError::Store(_) => CANNOT_CREATE,
        _ => FAILURE,
    };
    CommandFailure::of(code, error)
}

/// The worker of this process as the server knows it, made at the first start.
async fn own_worker(server: &Server) -> Result<Row, StoreError> {
    let store = &server.app_state().store;
    if let Some(row) = store.worker_of_key(WORKER).await? {
        return Ok(row);
    }
    let conflict = |what: String| StoreError::Conflict(what);
    let api_key = ApiKey::parse(WORKER).map_err(|e| conflict(e.to_owned()))?;
    let secret = server::identity::token::random().map_err(|e| conflict(format!("no secret can be made: {e}")))?;
    let new = NewWorker { title: WORKER.to_owned(), api_key, secret: Secret::new(secret.into_bytes()) };
    store.add_worker(PlaceName::Default(DEFAULT), &new).await
}

fn settings_of(server: &Server, row: &Row, state: &Path, habits: Habits) -> Result<worker::Settings, CommandFailure> {
    let scripts = state.join("scripts");
    std::fs::create_dir_all(&scripts)
        .map_err(|e| CommandFailure::new(CANNOT_CREATE, format!("{}: {e}", scripts.display())))?;
    let (set, base) = (&server.app_state().settings, url(server)?);
    let seats = habits.concurrent_jobs.to_string();
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
        ("ws_url", &format!("ws://{}/worker", set.http)),
        ("concurrent_jobs", &seats),
        ("state_path", text(state)?),
        ("script_temp_path", text(&scripts)?),
        ("log_update_interval", habits.log_update_interval),
    ];
    let built = config::built(&texts, &Surroundings::of_process())
        .map_err(|e| CommandFailure::new(FAILURE, e.mistakes.join("; ")))?;
    let config::Settings { rest, source, intake, execution, report, daemon } = built;
    // The state is the directory's, whatever port was free this time.
    let belongs_to = format!("the server of {}", row.id);
    Ok(worker::Settings {
        rest,
        source,
        intake,
        execution,
        report,
        state_path: daemon.state_path,
        // Nobody would start it again.
        restarts: false,
        belongs_to,
    })
}

fn text(path: &Path) -> Result<&str, CommandFailure> {
    path.to_str()
        .ok_or_else(|| CommandFailure::new(CANNOT_CREATE, format!("{}: is no UTF-8", PathBuf::from(path).display())))
}
