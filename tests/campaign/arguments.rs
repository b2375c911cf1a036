//! The command line.

use std::path::PathBuf;
use std::time::Duration;

/// What `--help` says.
const USAGE: &str = "\
./campaign [--runs N] [--seed S]       our worker under faults; 150 runs and seed 1 if not said
./campaign --server [--runs N] ...     our server and two workers under faults, with hostile scripts, by hand and on schedules
./campaign --fleet [--runs N] ...      servers that are killed in turn, behind a forwarder, with eight workers; 2,000 runs if not said
  --database sqlite|postgres           ... at a database of SQLite, or of a PostgreSQL that is stopped and killed, too
  --servers N                          ... so many servers at it: one of SQLite, two of PostgreSQL if not said
  --rate N                             ... so many scripts handed over a second; 20 if not said, and 90 with --kills
  --every SECONDS                      ... from one kill to the next; 10 if not said
  --away SECONDS                       ... how long PostgreSQL is stopped; 30 if not said
  --late SECONDS                       ... how late a run may begin at most; 10 if not said
  --kills N                            ... until the server that dispatches was killed so often, with PostgreSQL left alone
  --job-runner PATH                    ... with another server than the one that was just built
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
    Fleet,
    HandOvers(usize),
}

/// The database of a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// What is said of a fleet.
#[derive(Clone, Debug)]
pub struct Fleet {
    pub engine: Engine,
    pub servers: usize,
    /// How many scripts are handed over in a second.
    pub rate: u64,
    /// From one kill to the next.
    pub every: Duration,
    /// How long PostgreSQL is stopped.
    pub away: Duration,
    /// How late a run may begin at most.
    pub late: Duration,
    /// How often the server that dispatches is killed, if nothing else is to be done to it.
    pub kills: Option<usize>,
    pub program: PathBuf,
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
    pub fleet: Fleet,
}

/// What was said of numbers that depend on one another.
#[derive(Default)]
struct Said {
    runs: Option<u64>,
    servers: Option<u64>,
    rate: Option<u64>,
}

/// How many runs, if not said; and of a fleet.
const RUNS: usize = 150;
const FLEET_RUNS: usize = 2000;

impl Arguments {
    /// Reads the command line. `Err` is what to print and the exit code.
    pub fn read(words: impl Iterator<Item = String>) -> Result<Self, (String, u8)> {
        let (mut read, mut said) = (Self::unsaid(), Said::default());
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| wrong(&format!("{word} needs a value")));
            let mut number = || value()?.parse::<u64>().map_err(|_| wrong(&format!("{word} needs a number")));
            match word.as_str() {
                "--runs" => said.runs = Some(number()?),
                "--seed" => read.seed = number()?,
                "--server" => read.mode = Mode::Server,
                "--fleet" => read.mode = Mode::Fleet,
                "--original" => read.mode = Mode::Original,
                "--hand-overs" => read.mode = Mode::HandOvers(count(number()?)),
                "--previous" => read.previous = Some(PathBuf::from(value()?)),
                "--worker" => read.worker = PathBuf::from(value()?),
                "--verbose" => read.verbose = true,
                "--keep" => read.keep = true,
                "--database" => read.fleet.engine = engine(&value()?)?,
                "--servers" => said.servers = Some(number()?),
                "--rate" => said.rate = Some(number()?.max(1)),
                "--every" => read.fleet.every = Duration::from_secs(number()?.max(1)),
                "--away" => read.fleet.away = Duration::from_secs(number()?),
                "--late" => read.fleet.late = Duration::from_secs(number()?),
                "--kills" => read.fleet.kills = Some(count(number()?)),
                "--job-runner" => read.fleet.program = PathBuf::from(value()?),
                "--help" => return Err((USAGE.to_owned(), 0)),
                _ => return Err(wrong(&format!("unknown: {word}"))),
            }
        }
        read.complete(&said)
    }

    fn unsaid() -> Self {
        let fleet = Fleet {
            engine: Engine::Sqlite,
            servers: 1,
            rate: 0,
            every: Duration::from_secs(10),
            away: Duration::from_secs(30),
            late: Duration::from_secs(10),
            kills: None,
            program: PathBuf::from(env!("CARGO_BIN_EXE_job_runner")),
        };
        let worker = PathBuf::from(env!("CARGO_BIN_EXE_job_runner_worker"));
        let mode = Mode::Ours;
        Self { mode, runs: RUNS, seed: 1, worker, previous: None, verbose: false, keep: false, fleet }
    }

    fn complete(mut self, said: &Said) -> Result<Self, (String, u8)> {
        let runs = if self.mode == Mode::Fleet { FLEET_RUNS } else { RUNS };
        self.runs = said.runs.map_or(runs, count);
        let servers = if self.fleet.engine == Engine::Postgres { 2 } else { 1 };
        self.fleet.servers = said.servers.map_or(servers, count);
        if self.fleet.engine == Engine::Sqlite && self.fleet.servers != 1 {
            return Err(wrong(
                "--servers: a database of SQLite has one server; --database postgres has as many as you like",
            ));
        }
        if self.fleet.servers == 0 {
            return Err(wrong("--servers must be 1 at least"));
        }
        self.fleet.rate = said.rate.unwrap_or(if self.fleet.kills.is_some() { 90 } else { 20 });
        Ok(self)
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn engine(word: &str) -> Result<Engine, (String, u8)> {
    match word {
        "sqlite" => Ok(Engine::Sqlite),
        "postgres" => Ok(Engine::Postgres),
        _ => Err(wrong("--database must be sqlite or postgres")),
    }
}

/// What to print, and the exit code.
fn wrong(what: &str) -> (String, u8) {
    (format!("{what}\n{USAGE}"), 2)
}
