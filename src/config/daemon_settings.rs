//! Settings of the daemon's process: state directory, drain, PID file, exit code, log level.

use std::path::PathBuf;
use std::time::Duration;

use super::LogLevel;

/// What the worker's process needs to know beside the settings of its layers.
#[derive(Clone, Debug)]
pub struct DaemonSettings {
    /// The worker's own state directory: the configured base and the key.
    pub state_path: PathBuf,
    /// How long a drain may take before the runs are stopped.
    pub drain_timeout: Option<Duration>,
    /// Where the process id is written.
    pub pid_file: Option<PathBuf>,
    /// With which code the process ends to be started again; without one it does not.
    pub restart_exit_code: Option<u8>,
    /// The least severe level that is logged.
    pub log_level: LogLevel,
}
