//! The farm's long-running parts: new ids, registrations per address, the logs of tasks, and the watch over silent workers.
//!
//! `http/flamenco` talks to the workers; the decisions are in `domain/farm`, and the state in `store/farm`.

pub mod ids;
pub mod log_files;
pub mod registrations;
pub mod watch;

use std::io;
use std::path::PathBuf;

use ids::ObjectIds;
use log_files::LogFolder;
use registrations::Registrations;

/// Directory of the tasks' logs in the data directory.
const LOGS: &str = "flamenco_logs";

/// Handle of the farm: what handlers of requests need beside the store.
#[derive(Debug)]
pub struct Farm {
    /// Source of new ids.
    pub ids: ObjectIds,
    /// Registrations of the last minute.
    pub registrations: Registrations,
    /// Logs of the tasks.
    pub logs: LogFolder,
}

impl Farm {
    /// Makes the handle, with logs in `logs` or in a directory within `data`. A log takes at most `max_log` bytes.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn new(data: &std::path::Path, logs: Option<PathBuf>, max_log: u64) -> io::Result<Self> {
        Ok(Self {
            ids: ObjectIds::new()?,
            registrations: Registrations::default(),
            logs: LogFolder::new(logs.unwrap_or_else(|| data.join(LOGS)), max_log),
        })
    }
}
