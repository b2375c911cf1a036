//! The database of the servers, looked at from outside.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rusqlite::types::ValueRef;
use serde_json::Value;

use crate::server::oracle::{Fire, Row};
use crate::support::connect_read_only;
use crate::support::own_postgres::Postgres;

/// Where the servers keep what they know.
pub enum Database {
    Sqlite(PathBuf),
    Postgres(Postgres),
}

/// The rows of an answer as text.
type Rows = Vec<Vec<Option<String>>>;

/// A run with what is known of it beside what is judged of every run.
#[derive(Clone, Debug)]
pub struct Known {
    pub row: Row,
    /// When it was due, in seconds since the epoch.
    pub due: f64,
    /// Under which title it was handed over; `None` of a job's run.
    pub title: Option<String>,
}

impl Database {
    /// What a server is told of it, as a setting.
    pub fn setting(&self) -> String {
        match self {
            Self::Sqlite(_) => String::new(),
            Self::Postgres(postgres) => format!("database = {}\n", postgres.url()),
        }
    }

    /// The runs; `None` while the database is away.
    pub fn runs(&self) -> Option<Vec<Known>> {
        let rows = self.ask(
            "SELECT run.id, run.job, run.schedule_dts, run.return_dts, run.return_success, run.losses,
             CASE WHEN run.enqueue_dts IS NULL AND job.enqueue_is_enabled = 0 AND run.is_manual = 0 THEN 1 ELSE 0 END,
             job.ad_hoc FROM run JOIN job ON job.id = run.job",
        )?;
        rows.iter().map(|row| known(row)).collect()
    }

    /// How many runs are not over, and do not wait for a job that is disabled.
    pub fn open_runs(&self) -> Option<u64> {
        let rows = self.ask(
            "SELECT count(*) FROM run JOIN job ON job.id = run.job WHERE run.return_dts IS NULL
             AND NOT (run.enqueue_dts IS NULL AND job.enqueue_is_enabled = 0 AND run.is_manual = 0)",
        )?;
        rows.first()?.first()?.as_ref()?.parse().ok()
    }

    /// What is recorded of times without a run.
    pub fn fires(&self) -> Option<Vec<Fire>> {
        let fire = |row: &Vec<Option<String>>| {
            let params: Value = serde_json::from_str(row[2].as_deref()?).ok()?;
            let times = params["times"].as_u64().and_then(|times| usize::try_from(times).ok()).unwrap_or(1);
            Some(Fire { job: number(&row[0])?, due: number(&row[1])?.div_euclid(1_000_000), times })
        };
        self.ask("SELECT job, due, params FROM fire")?.iter().map(fire).collect()
    }

    /// The HTTP address of the server that dispatches, as far as the database says one does.
    pub fn dispatcher(&self) -> Option<String> {
        let Self::Postgres(postgres) = self else { return None };
        // A lease that is not renewed any more is that of a server that is gone, whose address the next one has.
        let question = "SELECT server.address FROM dispatch_lease JOIN server ON server.id = dispatch_lease.server
             WHERE dispatch_lease.renewed > extract(epoch FROM clock_timestamp()) * 1000000 - 3000000";
        postgres.ask(question)?.into_iter().next()?.into_iter().next()?
    }

    fn ask(&self, question: &str) -> Option<Rows> {
        match self {
            Self::Sqlite(file) => sqlite(file, question).ok(),
            Self::Postgres(postgres) => postgres.ask(question),
        }
    }
}

fn sqlite(file: &std::path::Path, question: &str) -> rusqlite::Result<Rows> {
    let store = connect_read_only(file)?;
    let mut statement = store.prepare(question)?;
    let columns = statement.column_count();
    let cell = |value: ValueRef<'_>| match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(text) | ValueRef::Blob(text) => Some(String::from_utf8_lossy(text).into_owned()),
    };
    let rows = statement.query_map((), |row| (0..columns).map(|at| row.get_ref(at).map(cell)).collect())?;
    rows.collect()
}

fn number(cell: &Option<String>) -> Option<i64> {
    cell.as_ref()?.parse().ok()
}

fn known(row: &[Option<String>]) -> Option<Known> {
    let due = number(&row[2])?;
    let run = Row {
        id: number(&row[0])?,
        job: number(&row[1])?,
        due: due.div_euclid(1_000_000),
        is_over: row[3].is_some(),
        success: number(&row[4]).map(|success| success != 0),
        losses: number(&row[5])?,
        is_on_hold: number(&row[6])? != 0,
    };
    Some(Known { row: run, due: due as f64 / 1e6, title: row[7].clone() })
}

/// When each run was due, and whether by a schedule.
pub fn due_times(runs: &[Known]) -> BTreeMap<i64, (f64, bool)> {
    runs.iter().map(|run| (run.row.id, (run.due, run.title.is_none()))).collect()
}
