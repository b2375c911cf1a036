//! What everything in the server works with: the store, the settings, who is told of what.

use axum::http::HeaderMap;
use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::settings::Settings;
use super::store::Store;
use crate::server::dispatch::presence::Presence;
use crate::server::dispatch::waiting::WaitingRuns;
use crate::server::http::shared::turns::Turns;
use crate::server::identity::guesses::Guesses;
use crate::server::identity::instances::Instances;
use crate::server::identity::logouts::Logouts;
use crate::server::identity::session::Session;
use crate::server::identity::token::OperatorToken;
use crate::server::link::events::WorkerEvents;
use crate::server::link::feed::Feed;
use crate::server::link::orders::Orders;
use crate::server::store::changes::ChangeFeed;

/// What everything in the server works with. Shared, never changed.
#[derive(Debug)]
pub struct AppState {
    /// What is known.
    pub store: Store,
    /// What was set; the addresses are those that were got.
    pub settings: Settings,
    /// What an operator must have.
    pub token: OperatorToken,
    /// Which wrong tokens came from where.
    pub guesses: Guesses,
    /// Which sessions were logged out.
    pub logouts: Logouts,
    /// Where orders to workers are given.
    pub orders: Orders,
    /// What workers tell onlookers, beyond the news.
    pub events: WorkerEvents,
    /// Where it is told what happens, to whoever listens.
    pub feed: Feed,
    /// Whose turn it is to read much.
    pub reading: Turns,
    /// Which workers do not answer.
    pub presence: Presence,
    /// Which instance of each worker is at work.
    pub instances: Instances,
    /// Why runs that are due wait.
    pub waiting: WaitingRuns,
    /// Is cancelled when the server stops: no answer may last longer.
    pub stop: CancellationToken,
}

/// Somebody who may read what pages show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Whoever has the token.
    Operator,
    /// A browser that has logged in.
    Browser(Session),
}

impl AppState {
    /// What has changed, for those who want to know.
    #[must_use]
    pub fn changes(&self) -> &ChangeFeed {
        self.store.changes()
    }

    /// The browser that a request comes from, if it has logged in.
    #[must_use]
    pub fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let session = Session::of(&self.token, headers, self.settings.http.port(), Utc::now())?;
        (!self.logouts.has(&session)).then_some(session)
    }

    /// Whether a request may read what pages show: an operator's, or of a browser that has logged in.
    #[must_use]
    pub fn admits_reader(&self, headers: &HeaderMap) -> bool {
        self.reader(headers).is_some()
    }

    /// Who may read what pages show, if a request is of somebody who may.
    #[must_use]
    pub fn reader(&self, headers: &HeaderMap) -> Option<Reader> {
        if self.token.admits(headers) {
            return Some(Reader::Operator);
        }
        self.session(headers).map(Reader::Browser)
    }

    /// Waits until somebody may not read any more what pages show: what is told as it happens ends then.
    pub async fn until_shut_out(&self, reader: &Reader) {
        match reader {
            Reader::Operator => std::future::pending().await,
            Reader::Browser(session) => self.logouts.until_over(session, Utc::now()).await,
        }
    }
}
