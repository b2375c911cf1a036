//! Reload (HUP): reads the settings again while the runs go on.

use std::path::PathBuf;

use super::{logging, of_worker};
use crate::config::{self, Loaded, Surroundings};
use crate::run::chain_of;
use crate::worker::RunningWorker;

/// Sources of the settings, to read them again.
pub struct Reloading {
    /// Path from the command line, if it gave one.
    config_path: Option<PathBuf>,
    /// Environment and options as they were at the start.
    surroundings: Surroundings,
    log: logging::Level,
}

impl Reloading {
    pub fn new(config_path: Option<PathBuf>, surroundings: Surroundings, log: logging::Level) -> Self {
        Self { config_path, surroundings, log }
    }

    /// Reads the settings again, applies those that can change at run time and returns the settings in force. If
    /// anything is wrong with the new ones, everything stays as it was.
    pub async fn reload(&self, worker: &RunningWorker, running: Loaded) -> Loaded {
        let fresh = match config::reload(&running, self.config_path.as_deref(), &self.surroundings) {
            Ok(fresh) => fresh,
            Err(failure) => {
                warn(&failure.warnings);
                return keep(running, &failure.mistakes);
            }
        };
        let settings = &fresh.loaded.settings;
        let (warnings, mistakes) = config::check_paths(settings);
        warn(fresh.loaded.warnings.iter().chain(&warnings));
        if !mistakes.is_empty() {
            return keep(running, &mistakes);
        }
        // The log level changes last: nothing is changed if the worker refuses the settings.
        if let Err(error) = worker.reconfigure(of_worker(settings)).await {
            return keep(running, &[chain_of(&error)]);
        }
        self.log.change(settings.daemon.log_level);
        tracing::info!(target: "job_runner_worker.config", applied = fresh.applied.join(","), "settings were read again");
        if !fresh.on_restart.is_empty() {
            tracing::warn!(
                target: "job_runner_worker.config",
                changed = fresh.on_restart.join(","),
                "settings take effect at the next start; a hand-over (USR2) leaves the runs alone"
            );
        }
        fresh.loaded
    }
}

fn warn<'a>(warnings: impl IntoIterator<Item = &'a String>) {
    for warning in warnings {
        tracing::warn!(target: "job_runner_worker.config", %warning, "setting is questionable");
    }
}

fn keep(running: Loaded, mistakes: &[String]) -> Loaded {
    for mistake in mistakes {
        tracing::error!(target: "job_runner_worker.config", %mistake, "setting is wrong");
    }
    tracing::error!(target: "job_runner_worker.config", "settings stay as they were");
    running
}
