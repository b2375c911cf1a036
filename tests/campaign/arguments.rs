//! The command line.

use std::path::PathBuf;

/// What `--help` says.
const USAGE: &str = "\
./campaign [--runs N] [--seed S]       our worker under faults; 150 runs and seed 1 if not said
./campaign --server [--runs N] ...     our server and two workers under faults, with hostile scripts, by hand and on schedules
./campaign --original [--runs N] ...   the original worker under SIGKILLs and repeated announcements
./campaign --hand-overs N              so many hand-overs beneath scripts that last a minute
  --previous PATH                      ... from the worker of an earlier build
  --worker PATH                        another worker than the one that was just built
  --verbose                            print what the worker says
  --keep                               keep the folder with traces and logs
A seed replays the same plan; how the processes run into each other is theirs.";

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Ours,
    Original,
    Server,
    HandOvers(usize),
}

/// The command line, read.
#[derive(Clone, Debug)]
pub struct Arguments {
    pub mode: Mode,
    pub runs: usize,
    pub seed: u64,
    pub worker: PathBuf,
    pub previous: Option<PathBuf>,
    pub verbose: bool,
    pub keep: bool,
}

impl Arguments {
    /// Reads the command line. `Err` is what to print and the exit code.
    pub fn read(words: impl Iterator<Item = String>) -> Result<Self, (String, u8)> {
        let worker = PathBuf::from(env!("CARGO_BIN_EXE_job_runner_worker"));
        let mut read =
            Self { mode: Mode::Ours, runs: 150, seed: 1, worker, previous: None, verbose: false, keep: false };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| (format!("{word} needs a value\n{USAGE}"), 2));
            let mut number = || value()?.parse::<u64>().map_err(|_| (format!("{word} needs a number\n{USAGE}"), 2));
            match word.as_str() {
                "--runs" => read.runs = usize::try_from(number()?).unwrap_or(usize::MAX),
                "--seed" => read.seed = number()?,
                "--server" => read.mode = Mode::Server,
                "--original" => read.mode = Mode::Original,
                "--hand-overs" => read.mode = Mode::HandOvers(usize::try_from(number()?).unwrap_or(usize::MAX)),
                "--previous" => read.previous = Some(PathBuf::from(value()?)),
                "--worker" => read.worker = PathBuf::from(value()?),
                "--verbose" => read.verbose = true,
                "--keep" => read.keep = true,
                "--help" => return Err((USAGE.to_owned(), 0)),
                _ => return Err((format!("unknown: {word}\n{USAGE}"), 2)),
            }
        }
        Ok(read)
    }
}
