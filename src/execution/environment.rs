//! What a job's environment is made from. What is the worker's own business is never in it.

use std::ffi::{OsStr, OsString};

/// What a job's environment is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// The worker's own, less what is the worker's business.
    Inherit,
    /// `PATH`, `HOME`, `LANG`, `TZ`, `USER`, `LOGNAME`, `SHELL` alone.
    Clean,
}

/// What the worker was told for itself.
const OURS: [&str; 14] = [
    "CONFIG_PATH",
    "CREDENTIALS_DIRECTORY",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "STATE_DIRECTORY",
    "RUNTIME_DIRECTORY",
    // A worker that a job started is not that job.
    "JOB_RUNNER_RUN_ID",
    "JOB_RUNNER_ATTEMPT",
    "JOB_RUNNER_RUN_TOKEN",
    "JOB_RUNNER_SCHEDULED_AT",
];
/// How the worker's own settings begin in its environment.
const OUR_PREFIX: &[u8] = b"JOB_RUNNER_WORKER_";
/// What a minimal environment has.
const CLEAN: [&str; 7] = ["PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME", "SHELL"];

/// The environment of a job, from the worker's.
pub fn of_jobs(policy: Environment, own: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    own.filter(|(name, _)| match policy {
        Environment::Inherit => !is_ours(name),
        Environment::Clean => CLEAN.iter().any(|kept| name == kept),
    })
    .collect()
}

fn is_ours(name: &OsStr) -> bool {
    OURS.iter().any(|ours| name == *ours) || name.as_encoded_bytes().starts_with(OUR_PREFIX)
}

#[cfg(test)]
mod tests;
