//! The execution: runs the process under a shim that outlives us.

use std::path::PathBuf;
use std::time::Duration;

use crate::run::Leftovers;

pub mod shim;

/// What the execution needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where scripts are written while they run.
    pub script_temp_path: PathBuf,
    /// Between TERM and KILL; zero: KILL at once, as the original does.
    pub kill_grace: Duration,
    /// How long a run stays open after its main process ended while its output is still held open.
    pub linger: Duration,
    /// What becomes of processes that outlive the script.
    pub leftovers: Leftovers,
    /// The longest a script may run.
    pub run_timeout: Option<Duration>,
    /// Whether jobs start with the worker's environment or a minimal one.
    pub environment: Environment,
}

/// What a job's environment is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// The worker's own, less what is the worker's business.
    Inherit,
    /// `PATH`, `HOME`, `LANG`, `TZ`, `USER`, `LOGNAME`, `SHELL` alone.
    Clean,
}
