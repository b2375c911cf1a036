//! Upstream: the clients of the services that give this worker its runs, one module for each kind of service.
//!
//! What all of them need stands here: transport, bounds, failures, back-off and the health of the service. A call has a
//! time-out, a body has a bound, and every request goes to one origin.

mod backoff;
mod failure;
pub mod flamenco;
mod health;
mod http;
pub mod job_runner;
mod loopback;
mod state_file;
mod tls;

pub use backoff::Backoff;
pub use failure::CallFailure;
pub use health::Health;
pub use http::ClientError;
pub use loopback::is_loopback;
pub use state_file::replace_file;
pub use tls::{TlsError, config as tls_config};

use flamenco::FlamencoClient;
use job_runner::RestClient;

/// Service that gives this worker its runs, as the client that speaks its protocol. A worker has one for its whole life.
///
/// The set of services is closed: where they differ, a `match` tells what is done for each of them. Cheap to clone; clones
/// share connections and health.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// Server of Job-Runner, with its REST API and its WebSocket.
    JobRunner(RestClient),
    /// Manager of Flamenco 2.x.
    Flamenco(FlamencoClient),
}

impl Upstream {
    /// Returns the health of the service.
    #[must_use]
    pub fn health(&self) -> &Health {
        match self {
            Self::JobRunner(client) => client.health(),
            Self::Flamenco(client) => client.health(),
        }
    }

    /// Returns the name by which the service knows this worker.
    #[must_use]
    pub fn worker(&self) -> String {
        match self {
            Self::JobRunner(client) => client.api_key().to_string(),
            Self::Flamenco(client) => client.worker_id().unwrap_or_else(|| client.nickname()),
        }
    }

    /// Returns the client of a Job-Runner server; `None` for any other service.
    #[must_use]
    pub fn job_runner(&self) -> Option<&RestClient> {
        match self {
            Self::JobRunner(client) => Some(client),
            Self::Flamenco(_) => None,
        }
    }
}
