//! Upstream: the clients of the services that give this worker its runs, one module for each kind of service.
//!
//! What all of them need stands here: transport, bounds, failures, back-off and the health of the service. A call has a
//! time-out, a body has a bound, and every request goes to one origin.

mod backoff;
mod failure;
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
