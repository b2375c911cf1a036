//! The server: plans runs of jobs, announces them to workers, and records their results.
//!
//! Every interface of the original is served with its wire format, so that the original worker works with this server
//! unchanged. Server and worker share only [`crate::wire`] and [`crate::run`], also where they run in one process.
//!
//! - [`domain`]: the types and the rules; pure.
//! - [`store`]: the database and the change feed.
//! - [`dispatch`]: announces due runs, kills and pings, and finds lost workers; keeps which workers are silent and why
//!   runs wait.
//! - [`identity`]: tokens, sessions and signatures; counts wrong tokens, and admits one instance of each worker.
//! - [`peers`]: the other servers of the same database: who dispatches, and messages between them.
//! - [`link`]: the ZeroMQ ports of the original, orders to workers, and the WebSocket feeds of changes.
//! - [`http`]: connections and their limits, the wait after wrong tokens, the REST API, the operator's API, the dashboard, the
//!   uplink of workers that connect out, and readiness.
//! - [`farm`]: ids, logs and time-outs of the Flamenco Manager.
//! - [`data`]: the data directory and its lock.

pub mod data;
pub mod dispatch;
pub mod domain;
pub mod farm;
pub mod http;
pub mod identity;
pub mod link;
pub mod peers;
mod settings;
pub mod state;
pub mod store;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::middleware;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::server::dispatch::published_silence::SilentWorkers;
use crate::server::dispatch::waiting::WaitingRuns;
use crate::server::farm::Farm;
use crate::server::identity::instances::Instances;
use crate::server::identity::logouts::Logouts;
use crate::server::identity::token::OperatorToken;
use crate::server::link::broadcast::Broadcaster;
use crate::server::link::events::Inlet;
use crate::server::link::feed::handle::Feed;
use crate::server::link::orders::Orders;
use crate::server::link::worker_events::WorkerEvents;
use crate::server::peers::Peers;
use crate::server::store::changes::ChangeFeed;
use data::{Data, DataError};
pub use settings::{Database, DatabaseUrl, FarmSettings, Settings, WorkerWrites, WrongDatabaseUrl};
use state::AppState;
use store::{Store, StoreError};

/// Longest time, after the grace period for requests, for the tasks of a stopping server to end; and for its store to
/// close.
const STOP: Duration = Duration::from_secs(10);

/// Reason why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The store cannot be opened, or has no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The file of the operator's token cannot be read or written.
    #[error("the operator's token {0} cannot be used")]
    Token(std::path::PathBuf, #[source] io::Error),
    /// A ZeroMQ port cannot be bound.
    #[error("cannot listen at {0} for ZeroMQ")]
    Zmq(SocketAddr, #[source] io::Error),
    /// The system gives no random bytes.
    #[error("no random bytes can be read")]
    Random(#[source] io::Error),
    /// The wall-clock timer cannot be created.
    #[error("the clock cannot be waited for")]
    Clock(#[source] io::Error),
    /// An HTTP or WebSocket address cannot be bound.
    #[error("cannot listen at {0}")]
    Listen(SocketAddr, #[source] io::Error),
}

/// A running server; dropping it does not stop its tasks, [`Server::stop`] does.
#[derive(Debug)]
pub struct Server {
    app: Arc<AppState>,
    tasks: TaskTracker,
    /// Lock on the data directory, held while the server runs.
    _data: Data,
}

/// Opens the database that the settings name.
async fn open_store(settings: &Settings) -> Result<Store, ServerError> {
    let feed = ChangeFeed::default();
    match &settings.database {
        Database::Sqlite => {
            let file = data::private_database(&settings.data);
            let file = file.map_err(|e| DataError::Unusable(settings.data.clone(), e))?;
            Ok(Store::open(&file, feed).await?)
        }
        Database::Postgres(url) => Ok(Store::connect(&url.expose(), feed).await?),
    }
}

/// Binds the address of the Flamenco Manager, if the settings name one, and writes the actual port into them.
async fn bind_farm(settings: &mut Settings) -> Result<Option<TcpListener>, ServerError> {
    let Some(at) = settings.farm.listen else { return Ok(None) };
    let failed = |e| ServerError::Listen(at, e);
    let listener = TcpListener::bind(at).await.map_err(failed)?;
    settings.farm.listen = Some(listener.local_addr().map_err(failed)?);
    Ok(Some(listener))
}

/// Starts the Flamenco Manager, if its address is bound.
fn start_farm(app: &Arc<AppState>, tasks: &TaskTracker, listener: Option<TcpListener>) {
    if let Some(listener) = listener {
        tasks.spawn(http::flamenco::serve(Arc::clone(app), listener));
        tasks.spawn(farm::watch::work(Arc::clone(app)));
    }
}

impl Server {
    /// Starts all parts of the server. Addresses with port 0 get a free port.
    ///
    /// # Errors
    /// If the data directory is taken or unsafe, the store cannot be opened, or an address cannot be bound.
    pub async fn start(mut settings: Settings) -> Result<Self, ServerError> {
        // The lock comes first: until it is held, another server may be writing these files.
        let mut data = Data::take(&settings.data)?;
        let exposed = data::keep_private(&settings.data);
        for exposed in exposed.map_err(|e| DataError::Unusable(settings.data.clone(), e))? {
            exposed.log();
        }
        let token = OperatorToken::of(&settings.data)
            .map_err(|e| ServerError::Token(settings.data.join(identity::token::FILE), e))?;
        let store = open_store(&settings).await?;
        // Where the configuration says nothing, a store of an earlier version keeps what its workers rely on.
        if settings.worker_writes.is_none() {
            settings.worker_writes =
                store.setting(WorkerWrites::SETTING).await?.as_deref().and_then(WorkerWrites::named);
        }
        if settings.worker_writes() == WorkerWrites::Original {
            tracing::info!(
                target: "job_runner.server",
                worker_writes = "original",
                "workers may write jobs and scripts"
            );
        }
        let listener = TcpListener::bind(settings.http).await.map_err(|e| ServerError::Listen(settings.http, e))?;
        settings.http = listener.local_addr().map_err(|e| ServerError::Listen(settings.http, e))?;
        let broadcaster =
            Broadcaster::bind(settings.broadcaster).await.map_err(|e| ServerError::Zmq(settings.broadcaster, e))?;
        let inlet = Inlet::bind(settings.events).await.map_err(|e| ServerError::Zmq(settings.events, e))?;
        (settings.broadcaster, settings.events) = (broadcaster.address(), inlet.address());
        // Written only now that the port is bound, so that a command that finds the address can connect.
        data.tell(settings.http).map_err(|e| DataError::Unusable(settings.data.clone(), e))?;
        let original = match settings.websocket {
            Some(at) => Some(link::feed::original::bind(at).await.map_err(|e| ServerError::Listen(at, e))?),
            None => None,
        };
        settings.websocket = original.as_ref().map(|(_, at)| *at);
        let farm_listener = bind_farm(&mut settings).await?;
        let farm =
            Farm::new(&settings.data, settings.farm.logs.clone(), settings.max_log).map_err(ServerError::Random)?;
        let wall = dispatch::WallClockTimer::new().map_err(ServerError::Clock)?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let logouts = Logouts::load(&store).await?;
        let peers = Peers::of(&store);
        let now = tokio::time::Instant::now();
        let instances = Instances::new(store.tenures().await?, settings.patience(), now, peers.clone());
        let app = Arc::new(AppState {
            logouts,
            feed: Feed::new(settings.listeners, settings.websocket_listeners),
            wrong_token_limits: identity::wrong_token_limits::WrongTokenLimits::default(),
            reading: http::shared::read_turns::Turns::default(),
            store,
            settings,
            token,
            orders: Orders::with(peers.clone()),
            peers,
            events: WorkerEvents::default(),
            silent_workers: SilentWorkers::default(),
            instances,
            farm,
            waiting: WaitingRuns::default(),
            stop: stop.clone(),
        });
        let (connections, grace) =
            (http::connections::Connections::new(app.settings.limits()), app.settings.stop_grace);
        tasks.spawn(http::connections::serve(listener, routes(&app), connections, stop.clone(), grace));
        tasks.spawn(link::feed::work(Arc::clone(&app)));
        let (watched, stopped) = (Arc::clone(&app), stop.clone());
        tasks
            .spawn(async move { stopped.run_until_cancelled(watched.store.watch_outages()).await.unwrap_or_default() });
        if let Some((listener, _)) = original {
            tasks.spawn(link::feed::original::serve(Arc::clone(&app), listener));
        }
        start_farm(&app, &tasks, farm_listener);
        tasks.spawn(broadcaster.carry(Arc::clone(&app)));
        tasks.spawn(inlet.read(Arc::clone(&app)));
        tasks.spawn(peers::listener::follow(Arc::clone(&app)));
        tasks.spawn(peers::lease::keep(Arc::clone(&app)));
        tasks.spawn(dispatch::work(Arc::clone(&app), wall, stop));
        Ok(Self { app, tasks, _data: data })
    }

    /// Returns the address of the REST API, the dashboard and the feeds.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.app.settings.http
    }

    /// Returns the address to which workers subscribe.
    #[must_use]
    pub fn broadcaster(&self) -> SocketAddr {
        self.app.settings.broadcaster
    }

    /// Returns the address to which workers send events.
    #[must_use]
    pub fn events(&self) -> SocketAddr {
        self.app.settings.events
    }

    /// Returns the state that the tasks and handlers of the server share.
    #[must_use]
    pub fn app_state(&self) -> &Arc<AppState> {
        &self.app
    }

    /// Stops the server: returns when its tasks have ended and the store is closed, or after a bounded time.
    pub async fn stop(self) {
        self.app.stop.cancel();
        let patience = self.app.settings.stop_grace + STOP;
        if !http::connections::end_within(&self.tasks, patience).await {
            tracing::warn!(target: "job_runner.server", wait_s = patience.as_secs(), "some tasks did not end in time; they are aborted");
        }
        // Committed changes are safe even if closing takes too long.
        let _ = tokio::time::timeout(STOP, self.app.store.close()).await;
    }
}

/// Returns the routes of all interfaces.
fn routes(app: &Arc<AppState>) -> axum::Router {
    let routes = http::rest::routes()
        .merge(http::operator::routes(app))
        .merge(http::dashboard::routes(app))
        .merge(link::feed::routes())
        .merge(http::readiness::routes())
        .merge(http::uplink::routes());
    routes
        // Around all routes: a wrong token is slowed down whichever interface it is tried at.
        .layer(middleware::from_fn_with_state(Arc::clone(app), http::shared::wrong_tokens::slow_down))
        .with_state(Arc::clone(app))
}
