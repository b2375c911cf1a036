//! The server: what is to run, when and where, and what became of it.
//!
//! It speaks the original's wire in every direction, so that the original worker works for it unchanged.
//! The server and the worker know each other through [`crate::wire`] alone, also where they share a process.
//!
//! `model` has the words; `life`, `duty`, `chain`, `schedule`, `script` and `rules` decide and are pure; `store` keeps;
//! `news` tells who wants to know at once. `dispatch` acts by the clock; `api`, `operator`, `page` and `feed` answer.
//!
//! `guesses` answers wrong tokens slowly.
//!
//! `http` accepts connections and bounds what a peer can hold; `zmtp` does so for the two ZeroMQ ports. `terminal` renders
//! lines of logs, for `operator` and `page` alike. `presence` knows which workers are silent, `waiting` why runs wait,
//! `instances` which of several under one key works; `readiness` answers whether
//! the store can be written.

pub mod data;
pub mod dispatch;
pub mod domain;
pub mod http;
pub mod identity;
pub mod link;
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

use crate::server::dispatch::presence::Presence;
use crate::server::dispatch::waiting::WaitingRuns;
use crate::server::identity::instances::Instances;
use crate::server::identity::logouts::Logouts;
use crate::server::identity::token::OperatorToken;
use crate::server::link::broadcast::Broadcaster;
use crate::server::link::events::{Inlet, WorkerEvents};
use crate::server::link::feed::Feed;
use crate::server::link::orders::Orders;
use crate::server::store::changes::ChangeFeed;
use data::{Data, DataError};
pub use settings::{Settings, WorkerWrites};
use state::AppState;
use store::{Store, StoreError};

/// How long the parts of a server may take to end beyond what requests are given, and its store to be closed.
const STOP: Duration = Duration::from_secs(10);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data directory.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The operator's token.
    #[error("the operator's token {0} cannot be used")]
    Token(std::path::PathBuf, #[source] io::Error),
    /// An address cannot be had for ZeroMQ.
    #[error("cannot listen at {0} for ZeroMQ")]
    Zmq(SocketAddr, #[source] io::Error),
    /// The system's clock.
    #[error("the clock cannot be waited for")]
    Clock(#[source] io::Error),
    /// An address cannot be had.
    #[error("cannot listen at {0}")]
    Listen(SocketAddr, #[source] io::Error),
}

/// A server at work.
#[derive(Debug)]
pub struct Server {
    app: Arc<AppState>,
    tasks: TaskTracker,
    /// Ours while we work.
    _data: Data,
}

impl Server {
    /// Begins to work.
    ///
    /// # Errors
    /// What is wrong with the data directory or the addresses.
    pub async fn start(mut settings: Settings) -> Result<Self, ServerError> {
        let mut data = Data::take(&settings.data)?;
        let exposed = data::keep_private(&settings.data);
        for what in exposed.map_err(|e| DataError::Unusable(settings.data.clone(), e))? {
            tracing::warn!(target: "job_runner.server", "{what}");
        }
        let token = OperatorToken::of(&settings.data)
            .map_err(|e| ServerError::Token(settings.data.join(identity::token::FILE), e))?;
        let store = Store::open(&settings.data.join(data::DATABASE), ChangeFeed::default()).await?;
        if settings.worker_writes.is_none() {
            settings.worker_writes =
                store.setting(WorkerWrites::SETTING).await?.as_deref().and_then(WorkerWrites::named);
        }
        if settings.worker_writes() == WorkerWrites::Original {
            tracing::info!(
                target: "job_runner.server",
                "workers may write jobs and scripts (worker_writes = original); own confines them to their runs"
            );
        }
        let listener = TcpListener::bind(settings.http).await.map_err(|e| ServerError::Listen(settings.http, e))?;
        settings.http = listener.local_addr().map_err(|e| ServerError::Listen(settings.http, e))?;
        let broadcaster =
            Broadcaster::bind(settings.broadcaster).await.map_err(|e| ServerError::Zmq(settings.broadcaster, e))?;
        let inlet = Inlet::bind(settings.events).await.map_err(|e| ServerError::Zmq(settings.events, e))?;
        (settings.broadcaster, settings.events) = (broadcaster.address(), inlet.address());
        data.tell(settings.http).map_err(|e| DataError::Unusable(settings.data.clone(), e))?;
        let original = match settings.websocket {
            Some(at) => Some(link::feed::original::bind(at).await.map_err(|e| ServerError::Listen(at, e))?),
            None => None,
        };
        settings.websocket = original.as_ref().map(|(_, at)| *at);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let logouts = Logouts::load(&store).await?;
        let instances = Instances::new(store.tenures().await?, settings.patience(), tokio::time::Instant::now());
        let app = Arc::new(AppState {
            logouts,
            feed: Feed::new(settings.listeners, settings.websocket_listeners),
            guesses: identity::guesses::Guesses::default(),
            reading: http::shared::turns::Turns::default(),
            store,
            settings,
            token,
            orders: Orders::default(),
            events: WorkerEvents::default(),
            presence: Presence::default(),
            instances,
            waiting: WaitingRuns::default(),
            stop: stop.clone(),
        });
        let routes = http::rest::routes()
            .merge(http::operator::routes(&app))
            .merge(http::dashboard::routes(&app))
            .merge(link::feed::routes())
            .merge(http::readiness::routes())
            .merge(http::uplink::routes());
        let routes = routes
            .layer(middleware::from_fn_with_state(Arc::clone(&app), identity::guesses::slow_down))
            .with_state(Arc::clone(&app));
        let (connections, grace) =
            (http::connections::Connections::new(app.settings.limits()), app.settings.stop_grace);
        tasks.spawn(http::connections::serve(listener, routes, connections, stop.clone(), grace));
        tasks.spawn(link::feed::work(Arc::clone(&app)));
        let (watched, stopped) = (Arc::clone(&app), stop.clone());
        tasks
            .spawn(async move { stopped.run_until_cancelled(watched.store.watch_outages()).await.unwrap_or_default() });
        if let Some((listener, _)) = original {
            tasks.spawn(link::feed::original::serve(Arc::clone(&app), listener));
        }
        tasks.spawn(broadcaster.carry(Arc::clone(&app)));
        tasks.spawn(inlet.read(Arc::clone(&app)));
        let wall = dispatch::WallClockTimer::new().map_err(ServerError::Clock)?;
        tasks.spawn(dispatch::work(Arc::clone(&app), wall, stop));
        Ok(Self { app, tasks, _data: data })
    }

    /// Where REST, pages and feeds are served.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.app.settings.http
    }

    /// Where workers subscribe.
    #[must_use]
    pub fn broadcaster(&self) -> SocketAddr {
        self.app.settings.broadcaster
    }

    /// Where workers' events come in.
    #[must_use]
    pub fn events(&self) -> SocketAddr {
        self.app.settings.events
    }

    /// What everything in it works with.
    #[must_use]
    pub fn app_state(&self) -> &Arc<AppState> {
        &self.app
    }

    /// Stops, and answers when everything is written; or, where something does not end, after a bounded time.
    pub async fn stop(self) {
        self.app.stop.cancel();
        let patience = self.app.settings.stop_grace + STOP;
        if !http::connections::end_within(&self.tasks, patience).await {
            tracing::warn!(target: "job_runner.server", "something did not end in {} s, and is left", patience.as_secs());
        }
        // What was committed is safe without this, too.
        let _ = tokio::time::timeout(STOP, self.app.store.close()).await;
    }
}
