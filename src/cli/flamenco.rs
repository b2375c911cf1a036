//! Command line of the worker of Flamenco, worded as the original's.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Parser};

use super::{DaemonOptions, DaemonQuestion, LogFormat, RESTART, with_two_dashes};
use crate::config::{Surroundings, WorkerProgram};

#[cfg(test)]
mod tests;

/// Text behind the options in `--help`: effects of signals and meanings of exit codes.
const AFTER: &str = "\
signals:
  TERM, INT  stop the task, give it back and sign off; a second one leaves at once (on_term = drain: the
             task finishes first, a second one gives it back, a third one leaves at once)
  HUP        read the settings again; where one is wrong, all stay as they were
  USR1       log a status dump (usr_signals = 2.1: sleep)
  USR2       hand over: exit 75 at once, the task goes on and the next start takes it up
             (usr_signals = 2.1: wake)
  POLL       log a status dump

exit codes:
  0 signed off, or shut down on request   1 left at once   2 usage   66 no config file   69 --status: no worker answers
  73 a directory cannot be used   74 the output cannot be written   75 another worker has the state directory,
  or handed over   77 the Manager refuses this worker   78 configuration error";

/// Options of the command line of the worker of Flamenco.
#[derive(Debug, Parser)]
#[command(
    name = "flamenco-worker",
    about = concat!("Worker for Flamenco Managers 2.0 to 2.7 (v", env!("CARGO_PKG_VERSION"), ")"),
    version,
    disable_version_flag = true,
    after_help = AFTER,
)]
pub struct FlamencoCommandLine {
    /// read this file alone (default: ./flamenco-worker.cfg, and then ~/.flamenco-worker.cfg)
    #[arg(short, long, value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub config: Option<PathBuf>,

    /// URL of the Manager, in place of manager_url
    #[arg(long, value_name = "URL")]
    pub manager: Option<String>,

    /// log the effective settings at the start
    #[arg(short, long)]
    pub verbose: bool,

    /// log what is of use in the search for a fault
    #[arg(short, long)]
    pub debug: bool,

    /// register anew, also where there is an id
    #[arg(short, long)]
    pub reregister: bool,

    /// tell the Manager that the configuration is tried out
    #[arg(short, long)]
    pub test: bool,

    /// leave after one task
    #[arg(short = '1', long)]
    pub single: bool,

    /// show the effective settings and every mistake, and exit with 0, or with the code with which a start would fail
    #[arg(long, conflicts_with_all = ["status", "sleep", "wake", "retry_dead_letters"])]
    pub check_config: bool,

    /// show the status of the running worker
    #[arg(long, group = "question")]
    pub status: bool,

    /// let the running worker take no new tasks, until it is woken up
    #[arg(long, group = "question")]
    pub sleep: bool,

    /// let the running worker take new tasks again
    #[arg(long, group = "question")]
    pub wake: bool,

    /// let the running worker tell again at once what the Manager rejected
    #[arg(long, group = "question")]
    pub retry_dead_letters: bool,

    /// answer --status, --sleep, --wake or --retry-dead-letters as JSON
    #[arg(long, requires = "question")]
    pub json: bool,

    /// exit with this code (1 to 255) when a restart is asked for
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
    #[arg(short = 'V', long, action = ArgAction::Version)]
    pub version: Option<bool>,
}

impl FlamencoCommandLine {
    /// Parses the command line of this process.
    ///
    /// # Errors
    /// If it cannot be parsed, or if help or the version was asked for.
    pub fn of_process() -> Result<Self, clap::Error> {
        Self::parse_words(std::env::args_os())
    }

    /// Parses a command line, of which some options may begin with one dash.
    fn parse_words(words: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(
            words.map(|word| with_two_dashes(word, &["-restart-exit-code", "-restart-exit-status", "-manager"])),
        )
    }

    /// Returns what the daemon is to do.
    #[must_use]
    pub fn options(self) -> DaemonOptions {
        let flag = |is_set: bool, key, option| is_set.then(|| (key, (option, "true".to_owned())));
        let options = [
            flag(self.reregister, "reregister", "--reregister"),
            flag(self.test, "testing", "--test"),
            flag(self.single, "single", "--single"),
            self.debug.then(|| ("log_level", ("--debug", "debug".to_owned()))),
            self.manager.map(|url| ("manager_url", ("--manager", url))),
            self.restart_exit_code.map(|code| ("restart_exit_code", (RESTART, code.to_string()))),
        ];
        DaemonOptions {
            program: WorkerProgram::Flamenco,
            config_path: self.config,
            checks_config: self.check_config,
            logs_config: self.verbose,
            question: DaemonQuestion::of(self.status, self.sleep, self.wake, self.retry_dead_letters),
            json: self.json,
            log_format: self.log_format,
            surroundings: Surroundings {
                options: options.into_iter().flatten().collect(),
                ..Surroundings::of_process()
            },
        }
    }
}
