//! The daemon: settings, signals, drain, status, exit code.

use std::path::PathBuf;
use std::time::Duration;

/// What the daemon needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The worker's own state directory: the configured base and the key.
    pub state_path: PathBuf,
    /// How long a drain may take before the runs are stopped.
    pub drain_timeout: Option<Duration>,
    /// Where the process id is written.
    pub pid_file: Option<PathBuf>,
    /// The least severe level that is logged.
    pub log_level: LogLevel,
}

/// The original's log levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// The course of things.
    Info,
    /// What may need a look.
    Warning,
    /// What went wrong.
    Error,
    /// What stops the worker.
    Critical,
}
