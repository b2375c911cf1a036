//! Job-Runner server as upstream: signed calls to its REST API, over kept-alive HTTP connections or over the WebSocket
//! that a source keeps open.

mod briefs;
mod calls;
mod client;
mod instance;
mod job_view;
#[cfg(test)]
mod tests;
mod trace;
mod uplink;

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::run::{ApiKey, Secret};

pub use calls::{AttemptClaim, Incomplete, KillView, OpenWork, RunView, SeenRunState, StatusReport, ToldResult};
pub use client::{RefusedTell, RestClient};
pub use instance::{InstanceOrigin, instance_of};
pub use job_view::JobView;
pub use uplink::{Calls, Outgoing, Uplink};

/// Settings of the REST client.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Scheme, host and port of the API. Resource paths are joined to it as `urljoin` does.
    pub api_base_url: Url,
    /// API key that identifies this worker.
    pub api_key: ApiKey,
    /// Secret with which requests are signed.
    pub secret: Secret,
    /// Path of the run resource, with a leading and a trailing slash.
    pub run_resource: String,
    /// Path of the worker resource, with both slashes.
    pub worker_resource: String,
    /// Path of the run log resource, with both slashes.
    pub run_log_resource: String,
    /// Path of the kill request resource, with both slashes.
    pub kill_request_resource: String,
    /// Whether certificates are verified; `false` accepts any certificate.
    pub tls_verify: bool,
    /// PEM file with trust roots in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// Longest time that a call may take without progress on its answer.
    pub api_timeout: Duration,
}
