//! A job as the worker sees it: its script and its time limit, read from the resource of the server.

use std::time::Duration;

use serde_json::Value;

use crate::wire::resources::JobResource;

/// Job, as far as the execution of a run needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Content of the script; `None` where the server has something else than text in its place.
    pub script: Option<String>,
    /// Longest duration of a run; `None` where the server does not limit it.
    pub run_timeout: Option<Duration>,
}

impl JobView {
    /// Returns the bytes of the script.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.script.as_ref().map_or(0, String::len)
    }
}

impl From<JobResource> for JobView {
    fn from(job: JobResource) -> Self {
        Self {
            script: match job.script_content {
                Some(Value::String(content)) => Some(content),
                _ => None,
            },
            run_timeout: job.run_timeout.and_then(|seconds| seconds.as_u64()).map(Duration::from_secs),
        }
    }
}
