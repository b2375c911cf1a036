//! The server: what is to run, when and where, and what became of it.
//!
//! It speaks the original's wire in every direction, so that the original worker works for it unchanged.
//! The server and the worker know each other through [`crate::wire`] alone, also where they share a process.
//!
//! `model` has the words; `life`, `chain`, `schedule` and `script` decide and are pure; `store` keeps; `news` tells
//! who wants to know at once. `dispatch` acts by the clock; `api`, `operator`, `page` and `feed` answer.

pub mod api;
pub mod chain;
pub mod dispatch;
pub mod feed;
pub mod life;
pub mod model;
pub mod news;
pub mod office;
pub mod operator;
pub mod orders;
pub mod page;
pub mod script;
mod settings;
pub mod store;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use news::News;
use office::Office;
use orders::Orders;
pub use settings::Settings;
use store::{Store, StoreError};

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data directory.
    #[error("the data directory {0} cannot be used")]
    Data(std::path::PathBuf, #[source] io::Error),
    /// An address cannot be had.
    #[error("cannot listen at {0}")]
    Listen(SocketAddr, #[source] io::Error),
}

/// A server at work.
#[derive(Debug)]
pub struct Server {
    office: Arc<Office>,
    http: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Begins to work.
    ///
    /// # Errors
    /// What is wrong with the data directory or the addresses.
    pub async fn start(settings: Settings) -> Result<Self, ServerError> {
        std::fs::create_dir_all(&settings.data).map_err(|e| ServerError::Data(settings.data.clone(), e))?;
        let store = Store::open(&settings.data.join("job_runner.sqlite"), News::default()).await?;
        let listener = TcpListener::bind(settings.http).await.map_err(|e| ServerError::Listen(settings.http, e))?;
        let http = listener.local_addr().map_err(|e| ServerError::Listen(settings.http, e))?;
        let office = Arc::new(Office { store, settings, orders: Orders::default() });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let routes = api::routes().merge(operator::routes()).merge(page::routes()).merge(feed::routes());
        let service = axum::serve(listener, routes.with_state(Arc::clone(&office)));
        let stopped = stop.clone();
        tasks.spawn(async move {
            let _ = service.with_graceful_shutdown(stopped.cancelled_owned()).await;
        });
        tasks.spawn(dispatch::work(Arc::clone(&office), stop.clone()));
        Ok(Self { office, http, stop, tasks })
    }

    /// Where REST, pages and feeds are served.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// What everything in it works with.
    #[must_use]
    pub fn office(&self) -> &Arc<Office> {
        &self.office
    }

    /// Stops, and answers when everything is written.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.office.store.close().await;
    }
}
