//! Settings of the daemon's process: state directory, drain, PID file, exit code, log level.

use std::path::PathBuf;
use std::time::Duration;

use super::LogLevel;

/// Settings of the worker's process, besides those of its modules.
#[derive(Clone, Debug)]
pub struct DaemonSettings {
    /// State directory of this worker: the configured directory and, below it, one named for the API key.
    pub state_path: PathBuf,
    /// Time that a drain may take before the runs are stopped; `None` for no limit.
    pub drain_timeout: Option<Duration>,
    /// File for the process id, removed at the end.
    pub pid_file: Option<PathBuf>,
    /// Exit code that asks the service manager for a restart; without one the worker does not offer to restart.
    pub restart_exit_code: Option<u8>,
    /// Least severe level that is logged.
    pub log_level: LogLevel,
}
