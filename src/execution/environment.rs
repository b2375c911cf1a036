//! Environment of jobs: the worker's own environment without the variables that configure the worker.

use std::ffi::{OsStr, OsString};

/// Choice of the environment that jobs start with, from the setting `environment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// The worker's environment without the variables that are meant for the worker alone.
    Inherit,
    /// Only `PATH`, `HOME`, `LANG`, `TZ`, `USER`, `LOGNAME` and `SHELL`.
    Clean,
}

/// Variables that are meant for the worker itself, or for the job that started it, and that no job may see.
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
    // Set where a job has started this worker; its own jobs are other runs.
    "JOB_RUNNER_RUN_ID",
    "JOB_RUNNER_ATTEMPT",
    "JOB_RUNNER_RUN_TOKEN",
    "JOB_RUNNER_SCHEDULED_AT",
];
/// Prefix of the worker's own settings in its environment.
const OUR_PREFIX: &[u8] = b"JOB_RUNNER_WORKER_";
/// Variables that a minimal environment keeps.
const CLEAN: [&str; 7] = ["PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME", "SHELL"];

/// Selects the variables of `own` that jobs start with.
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
