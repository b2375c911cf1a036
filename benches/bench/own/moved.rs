//! Data that was moved to a PostgreSQL on this machine, and further servers at it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::{Failure, Moment, Postgres, Ran, ServerProcess};

/// The database, and the servers at it beyond the first.
pub struct Moved {
    // Ends after the servers.
    others: Vec<ServerProcess>,
    postgres: Postgres,
}

/// Moves the data of a directory to an empty database.
pub async fn migrate(program: &Path, place: &Path, postgres: &Postgres) -> Result<(), Failure> {
    let mut command = Command::new(program);
    command.args(["migrate", "--data"]).arg(place).args(["--to", &postgres.url()]).stdin(Stdio::null());
    let output = command.output().await?;
    let said = || format!("the data cannot be moved: {}", String::from_utf8_lossy(&output.stderr).trim());
    Failure::unless(output.status.success(), said)
}

impl Moved {
    /// Starts so many servers beside the first.
    pub async fn start(program: &Path, folder: &Path, postgres: Postgres, count: usize) -> Result<Self, Failure> {
        let mut others = Vec::new();
        for number in 1..=count {
            let place = format!("data{number}");
            fs::DirBuilder::new().mode(0o700).create(folder.join(&place))?;
            others.push(ServerProcess::start(program, folder, &place, Some(&postgres.url()), None, None).await?);
        }
        Ok(Self { others, postgres })
    }

    /// Returns the address of the server of a worker, from 1, where that is not the first: they are dealt out in turn.
    pub fn server_of(&self, worker: usize) -> Option<SocketAddr> {
        let at = (worker - 1) % (self.others.len() + 1);
        at.checked_sub(1).and_then(|at| self.others.get(at)).map(|other| other.http)
    }

    /// Returns the runs that are due from a moment on and over, without their logs.
    pub fn ran(&self, from: Moment) -> Result<Vec<Ran>, Failure> {
        let rows = self.rows(&format!(
            "SELECT schedule_dts, return_success, attempt, losses FROM run
             WHERE schedule_dts >= {from} AND return_dts IS NOT NULL ORDER BY schedule_dts, id"
        ))?;
        let ran = |row: &Vec<Option<String>>| {
            let number = |at: usize| row.get(at)?.as_ref()?.parse().ok();
            Some(Ran {
                due: number(0)?,
                success: number(1),
                attempt: number(2)?,
                losses: number(3)?,
                log: String::new(),
            })
        };
        rows.iter().map(|row| ran(row).ok_or_else(|| Failure(format!("{row:?} is no run")))).collect()
    }

    /// Returns the one number of an answer.
    pub fn count(&self, question: &str) -> Result<i64, Failure> {
        let rows = self.rows(question)?;
        let cell = rows.first().and_then(|row| row.first()?.as_ref()?.parse().ok());
        cell.ok_or_else(|| Failure(format!("{rows:?} is no number")))
    }

    fn rows(&self, question: &str) -> Result<Vec<Vec<Option<String>>>, Failure> {
        self.postgres.ask(question).ok_or_else(|| Failure(format!("no answer to: {question}")))
    }
}
