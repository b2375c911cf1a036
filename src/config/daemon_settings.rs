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
    /// Meaning of the signals that differ between programs.
    pub signals: SignalMeanings,
}

/// Meaning of the signals that differ between programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalMeanings {
    /// Meaning of the first TERM or INT.
    pub term: TermMeaning,
    /// Meaning of USR1 and USR2.
    pub usr: UsrMeaning,
}

impl SignalMeanings {
    /// Meanings for a worker of Job-Runner.
    pub const JOB_RUNNER: Self = Self { term: TermMeaning::Drain, usr: UsrMeaning::DumpAndHandOver };
}

/// Meaning of the first TERM or INT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermMeaning {
    /// Running scripts finish first.
    Drain,
    /// Running scripts are stopped, and their runs are given back.
    GiveBack,
}

/// Meaning of USR1 and USR2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsrMeaning {
    /// USR1 writes the status to the log, USR2 hands over.
    DumpAndHandOver,
    /// USR1 lets the worker sleep, USR2 wakes it, as the original since version 2.1.
    SleepAndWake,
}
