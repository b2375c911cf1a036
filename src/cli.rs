//! Command lines of the workers, worded as those of the originals.

mod flamenco;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Parser, ValueEnum};

use crate::config::{Surroundings, WorkerProgram};
pub use flamenco::FlamencoCommandLine;

#[cfg(test)]
mod tests;

/// Text behind the options in `--help`: effects of signals and meanings of exit codes.
const AFTER: &str = "\
signals:
  TERM, INT  drain: no new runs, running ones finish and are reported; a second one stops
             the runs and reports them, a third one leaves at once
  HUP        read the settings again; where one is wrong, all stay as they were
  USR1       log a status dump
  USR2       hand over: exit 75 at once, the runs go on and the next start takes them up

exit codes:
  0 drained, or shut down on request   1 left at once   2 usage   66 no config file   69 --status: no worker answers
  73 a directory cannot be used   74 the output cannot be written   75 another worker has the state directory,
  or handed over   78 configuration error   and restart_exit_code, where the server asked for a restart";

/// Options of the worker's command line.
#[derive(Debug, Parser)]
#[command(
    name = "job_runner_worker",
    about = concat!("Job Runner worker (v", env!("CARGO_PKG_VERSION"), ")"),
    version,
    disable_help_flag = true,
    disable_version_flag = true,
    after_help = AFTER,
)]
pub struct WorkerCommandLine {
    /// show this help message and exit
    #[arg(short = 'h', long = "help", action = ArgAction::Help)]
    pub help: Option<bool>,

    /// absolute path to config file (default: `CONFIG_PATH` env variable)
    #[arg(
        long,
        value_name = "CONFIG_PATH",
        // An empty value counts as not given.
        value_parser = OsStringValueParser::new().map(PathBuf::from),
        help = "absolute path to config file (default: CONFIG_PATH env variable)"
    )]
    pub config_path: Option<PathBuf>,

    /// show the effective settings and every mistake, and exit with 0, or with the code with which a start would fail
    #[arg(long, conflicts_with_all = ["status", "sleep", "wake", "retry_dead_letters"])]
    pub check_config: bool,

    /// show the status of the running worker
    #[arg(long, group = "question")]
    pub status: bool,

    /// let the running worker take no new runs, until it is woken up
    #[arg(long, group = "question")]
    pub sleep: bool,

    /// let the running worker take new runs again
    #[arg(long, group = "question")]
    pub wake: bool,

    /// let the running worker deliver results again at once that the server rejected
    #[arg(long, group = "question")]
    pub retry_dead_letters: bool,

    /// answer --status, --sleep, --wake or --retry-dead-letters as JSON
    #[arg(long, requires = "question")]
    pub json: bool,

    /// exit with this code (1 to 255) when the server asks for a restart, and offer restarts
    #[arg(
        long,
        visible_alias = "restart-exit-status",
        value_name = "N",
        value_parser = clap::value_parser!(u8).range(1..),
    )]
    pub restart_exit_code: Option<u8>,

    /// format of log lines
    #[arg(long, value_enum, default_value_t = LogFormat::Classic, value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// show the version and exit
    #[arg(long, action = ArgAction::Version)]
    pub version: Option<bool>,
}

/// Options that may begin with one dash, as other programs that start workers write them.
const ONE_DASH: [&str; 2] = ["-restart-exit-code", "-restart-exit-status"];
/// Option of the key `restart_exit_code`, for the origin of its value.
const RESTART: &str = "--restart-exit-code";

impl WorkerCommandLine {
    /// Parses the command line of this process.
    ///
    /// # Errors
    /// If it cannot be parsed, or if help or the version was asked for.
    pub fn of_process() -> Result<Self, clap::Error> {
        Self::try_parse_from(std::env::args_os().map(|word| with_two_dashes(word, &ONE_DASH)))
    }

    /// Returns what the daemon is to do.
    #[must_use]
    pub fn options(self) -> DaemonOptions {
        let restart = self.restart_exit_code.map(|code| ("restart_exit_code", (RESTART, code.to_string())));
        DaemonOptions {
            program: WorkerProgram::JobRunner,
            config_path: self.config_path,
            checks_config: self.check_config,
            logs_config: false,
            question: DaemonQuestion::of(self.status, self.sleep, self.wake, self.retry_dead_letters),
            json: self.json,
            log_format: self.log_format,
            surroundings: Surroundings { options: restart.into_iter().collect(), ..Surroundings::of_process() },
        }
    }
}

/// What a command line asks a daemon for.
#[derive(Clone, Debug)]
pub struct DaemonOptions {
    /// Program whose configuration is read.
    pub program: WorkerProgram,
    /// Configuration file, if the command line names one.
    pub config_path: Option<PathBuf>,
    /// Whether only the configuration is shown and checked.
    pub checks_config: bool,
    /// Whether the effective settings are logged at the start.
    pub logs_config: bool,
    /// Question to a worker that runs.
    pub question: Option<DaemonQuestion>,
    /// Whether the question is answered as JSON.
    pub json: bool,
    /// Format of the log lines.
    pub log_format: LogFormat,
    /// Surroundings of the process, with the keys that the command line sets.
    pub surroundings: Surroundings,
}

/// Question to a worker that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DaemonQuestion {
    /// Show the status of the running worker.
    Status,
    /// Take no new runs until the worker is woken.
    Sleep,
    /// Take new runs again.
    Wake,
    /// Deliver at once what was rejected.
    RetryDeadLetters,
}

impl DaemonQuestion {
    /// Returns the question of the flag that is set.
    fn of(status: bool, sleep: bool, wake: bool, retry_dead_letters: bool) -> Option<Self> {
        [(status, Self::Status), (sleep, Self::Sleep), (wake, Self::Wake), (retry_dead_letters, Self::RetryDeadLetters)]
            .into_iter()
            .find_map(|(is_set, question)| is_set.then_some(question))
    }
}

/// Adds the second dash to an option that may be written with one.
fn with_two_dashes(word: OsString, one_dash: &[&str]) -> OsString {
    // clap would read an option with one dash as a cluster of short options.
    let name = word.to_str().and_then(|word| word.split('=').next());
    if name.is_some_and(|name| one_dash.contains(&name)) {
        let mut longer = OsString::from("-");
        longer.push(word);
        return longer;
    }
    word
}

/// Format of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// As the original's: `LEVEL - 2026-11-23 17:05:07,123 - name: message`.
    Classic,
    /// UTC time, level, name, message.
    Text,
    /// One JSON object per line.
    Json,
}
