//! The command line of the worker, worded as the original's.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Parser, ValueEnum};

/// What stands behind the options: what a signal does, and what an exit code means.
const AFTER: &str = "\
signals:
  TERM, INT  drain: no new runs, running ones finish and are reported; a second one stops
             the runs and reports them, a third one leaves at once
  HUP        read the settings again; where one is wrong, all stay as they were
  USR1       log a status dump
  USR2       hand over: exit 75 at once, the runs go on and the next start takes them up

exit codes:
  0 drained   1 left at once   2 usage   66 no config file   69 --status: no worker answers
  73 a directory cannot be used   75 another worker has the state directory, or handed over
  78 configuration error";

/// The words of the command line.
#[derive(Debug, Parser)]
#[command(
    name = "job_runner_worker",
    about = concat!("Job Runner worker (v", env!("CARGO_PKG_VERSION"), ")"),
    version,
    disable_help_flag = true,
    disable_version_flag = true,
    after_help = AFTER,
)]
pub struct Args {
    /// show this help message and exit
    #[arg(short = 'h', long = "help", action = ArgAction::Help)]
    pub help: Option<bool>,

    /// absolute path to config file (default: `CONFIG_PATH` env variable)
    #[arg(
        long,
        value_name = "CONFIG_PATH",
        // Empty is as good as not given.
        value_parser = OsStringValueParser::new().map(PathBuf::from),
        help = "absolute path to config file (default: CONFIG_PATH env variable)"
    )]
    pub config_path: Option<PathBuf>,

    /// show the effective settings and every mistake, and exit with 0 or 78
    #[arg(long, conflicts_with = "status")]
    pub check_config: bool,

    /// ask the running worker what it does
    #[arg(long)]
    pub status: bool,

    /// answer --status as JSON
    #[arg(long, requires = "status")]
    pub json: bool,

    /// how log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Classic, value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// show the version and exit
    #[arg(long, action = ArgAction::Version)]
    pub version: Option<bool>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// As the original's: `LEVEL - 2026-11-23 17:05:07,123 - name: message`.
    Classic,
    /// UTC time, level, name, message.
    Text,
    /// One JSON object a line.
    Json,
}
