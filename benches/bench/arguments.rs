//! The command line.

use std::path::PathBuf;

use clap::Parser;

use super::failure::Failure;
use super::scenario::NAMES;

/// Measures a worker and a server: ./bench
#[derive(Clone, Debug, Parser)]
#[command(name = "./bench")]
pub struct Arguments {
    /// What is measured, by name, separated by commas; everything but what takes minutes if not said.
    #[arg(long, value_delimiter = ',')]
    pub scenarios: Vec<String>,
    /// How often everything is measured; the median counts.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// Once, with fewer runs and shorter waits: for a look, not for a record.
    #[arg(long)]
    pub quick: bool,
    /// A few seconds, of any build: fails on a gross loss alone. For ./check.
    #[arg(long, conflicts_with_all = ["scenarios", "repeat", "original"])]
    pub smoke: bool,
    /// Measures the original worker too, where it can (it needs a Python 2.7).
    #[arg(long)]
    pub original: bool,
    /// Our worker; the one beside this program if not said.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_job_runner_worker"))]
    pub worker: PathBuf,
    /// Our server.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_job_runner"))]
    pub server: PathBuf,
    /// Writes all figures of all repeats here, as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Writes the table into PERFORMANCE.rst, and the drawings beside it into docs/performance.
    #[arg(long)]
    pub record: bool,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    /// What is to be measured.
    pub fn chosen(&self) -> Result<Vec<&'static str>, Failure> {
        if self.scenarios.is_empty() {
            return Ok(NAMES.to_vec());
        }
        let known = |name: &String| {
            let found = NAMES.iter().find(|known| *known == name).copied();
            found.ok_or_else(|| Failure(format!("unknown: {name}; there are {}", NAMES.join(", "))))
        };
        self.scenarios.iter().map(known).collect()
    }

    pub fn repeats(&self) -> usize {
        if self.quick { 1 } else { self.repeat.max(1) }
    }
}
