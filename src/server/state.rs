//! App state: the store, the settings and the handles of long-running parts, shared by all handlers and tasks.

use axum::http::HeaderMap;
use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::settings::Settings;
use super::store::Store;
use crate::server::dispatch::published_silence::SilentWorkers;
use crate::server::dispatch::waiting::WaitingRuns;
use crate::server::farm::Farm;
use crate::server::http::shared::read_turns::Turns;
use crate::server::identity::instances::Instances;
use crate::server::identity::logouts::Logouts;
use crate::server::identity::session::Session;
use crate::server::identity::token::OperatorToken;
use crate::server::identity::wrong_token_limits::WrongTokenLimits;
use crate::server::link::feed::handle::Feed;
use crate::server::link::orders::Orders;
use crate::server::link::worker_events::WorkerEvents;
use crate::server::peers::Peers;
use crate::server::store::changes::ChangeFeed;

/// State that all handlers and tasks share. Its parts synchronize themselves.
#[derive(Debug)]
pub struct AppState {
    /// Database of the server.
    pub store: Store,
    /// Settings; the addresses are those that were bound.
    pub settings: Settings,
    /// Token of the operator.
    pub token: OperatorToken,
    /// Wrong tokens, by their source addresses.
    pub wrong_token_limits: WrongTokenLimits,
    /// Sessions that were logged out before they expired.
    pub logouts: Logouts,
    /// Other servers of the same database.
    pub peers: Peers,
    /// Handle for orders to workers.
    pub orders: Orders,
    /// Events of workers that no change reports, for followers of a run.
    pub events: WorkerEvents,
    /// Feed of changes over WebSockets.
    pub feed: Feed,
    /// Turns at reading much from the store.
    pub reading: Turns,
    /// Workers that are silent.
    pub silent_workers: SilentWorkers,
    /// Instance of each worker that holds its key.
    pub instances: Instances,
    /// Ids, registrations and logs of the Flamenco Manager.
    pub farm: Farm,
    /// Due runs that wait, and the reasons.
    pub waiting: WaitingRuns,
    /// Cancelled when the server stops: no response may last longer.
    pub stop: CancellationToken,
}

/// Reader of the dashboard and the feeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A client with the operator's token.
    Operator,
    /// A browser that has logged in.
    Browser(Session),
}

impl AppState {
    /// Returns the feed of changes of the store.
    #[must_use]
    pub fn changes(&self) -> &ChangeFeed {
        self.store.changes()
    }

    /// Returns the session of the browser that sent a request, if it has logged in and not out.
    #[must_use]
    pub fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let session = Session::of(&self.token, headers, self.settings.http.port(), Utc::now())?;
        (!self.logouts.has(&session)).then_some(session)
    }

    /// Returns whether the sender of a request may read the dashboard.
    #[must_use]
    pub fn admits_reader(&self, headers: &HeaderMap) -> bool {
        self.reader(headers).is_some()
    }

    /// Returns the reader that sent a request: an operator with the token, or a browser that has logged in.
    #[must_use]
    pub fn reader(&self, headers: &HeaderMap) -> Option<Reader> {
        // A token counts before a cookie: a script that has both is not ended with the session of a browser.
        if self.token.admits(headers) {
            return Some(Reader::Operator);
        }
        self.session(headers).map(Reader::Browser)
    }

    /// Waits until a reader may read no longer, so that feeds to it end. An operator's token does not expire.
    pub async fn until_shut_out(&self, reader: &Reader) {
        match reader {
            Reader::Operator => std::future::pending().await,
            Reader::Browser(session) => self.logouts.until_over(session, Utc::now()).await,
        }
    }
}
