//! The data that a server finds. It is written past the API: a million runs through it would be a measurement of its own.

use std::path::{Path, PathBuf};

use jobrunner::server::store::Store;
use jobrunner::server::store::changes::ChangeFeed;
use rusqlite::{Connection, InterruptHandle};

use crate::failure::Failure;
use crate::moment::{self, Moment};
use crate::sqlite::connect;

/// Runs with a log are numbered from here, beyond all others.
pub const LOGS_FROM: usize = 10_000_000;
/// The secret of every worker.
pub const SECRET: &str = "verysecret";

/// Where the data is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// In a file of SQLite, with one server.
    #[default]
    Sqlite,
    /// In a PostgreSQL on this machine with its own defaults, and with so many servers.
    Postgres { servers: usize },
}

/// What there is.
#[derive(Clone, Debug, Default)]
pub struct Data {
    pub engine: Engine,
    pub workers: usize,
    /// How many of them, the first ones, are disabled: no run is offered to them.
    pub disabled: usize,
    /// How many runs each of them can have.
    pub seats: usize,
    /// Jobs that run every day, none of them soon.
    pub jobs: usize,
    /// Runs that are over.
    pub history: usize,
    /// Jobs that these are runs of, the last ones; 0 for all jobs.
    pub history_of: usize,
    /// Runs to come, one lot after another.
    pub due: Vec<Due>,
    /// What they do.
    pub script: String,
    /// Kill requests that the first workers' past runs have, which no worker has taken.
    pub kills: usize,
    /// How many runs that are over have a log, and how long each is, in bytes.
    pub logs: (usize, usize),
    /// Whether the server is a Flamenco Manager.
    pub farm: bool,
    /// How many descriptors the server may have, if that is not left as it is.
    pub descriptors: Option<u32>,
}

/// Jobs of the runs to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jobs {
    /// Each run is of a job of its own.
    #[default]
    Each,
    /// All runs are of one job, which executes one after the other.
    One,
    /// Each job runs after the one before it; only the first run is due, and the server makes the others.
    Chain,
}

/// Runs to come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Due {
    pub count: usize,
    pub of: Jobs,
    /// How long after the data is complete the first is due, in microseconds.
    pub after: u64,
    /// How long after one the next is, in microseconds.
    pub every: u64,
}

impl Due {
    /// Number of jobs that the runs are of.
    fn jobs(&self) -> usize {
        match self.of {
            Jobs::Each | Jobs::Chain => self.count,
            Jobs::One => 1,
        }
    }
}

/// The key of a worker, from 1.
pub fn key(number: usize) -> String {
    format!("w{number}")
}

/// The database in a directory of data.
pub fn file(place: &Path) -> PathBuf {
    place.join("job_runner.sqlite")
}

/// Makes the directory and fills it. Answers when each lot begins to be due.
pub async fn fill(place: &Path, data: &Data) -> Result<Vec<Moment>, Failure> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(place)?;
    let file = file(place);
    Store::open(&file, ChangeFeed::default()).await?.close().await;
    let (connection, data) = (connect(&file)?, data.clone());
    let _interrupt = InterruptOnDrop(connection.get_interrupt_handle());
    tokio::task::spawn_blocking(move || write(&connection, &data)).await?
}

/// A program that is told to end does not wait until all is written.
struct InterruptOnDrop(InterruptHandle);

impl Drop for InterruptOnDrop {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

fn write(connection: &Connection, data: &Data) -> Result<Vec<Moment>, Failure> {
    connection.pragma_update(None, "cache_size", -200_000)?;
    connection.execute_batch(&things(data))?;
    connection.execute_batch(&logs(data.logs))?;
    let (now, mut jobs, mut begins) = (moment::now(), data.jobs, Vec::new());
    for due in &data.due {
        let begin = now + due.after;
        connection.execute_batch(&runs(due, jobs, begin))?;
        jobs += due.jobs();
        begins.push(begin);
    }
    Ok(begins)
}

/// A table of numbers from 1.
fn numbers(most: usize) -> String {
    format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {most})")
}

fn things(data: &Data) -> String {
    let Data { workers, disabled, seats, jobs, history, due, script, kills, .. } = data;
    let script = script.replace('\'', "''");
    let all_jobs = jobs + due.iter().map(Due::jobs).sum::<usize>();
    let history_of = if data.history_of == 0 { all_jobs } else { data.history_of };
    format!(
        "BEGIN;
         INSERT INTO worker_pool (id, title) VALUES (1, 'pool');
         INSERT INTO project (id, title) VALUES (1, 'project');
         INSERT INTO project_pool VALUES (1, 1);
         INSERT INTO job_template (id, title, body, project) VALUES (1, 'template', '{{{{ content|safe }}}}', 1);
         {} INSERT INTO worker (id, title, api_key, secret, concurrent_jobs, enqueue_is_enabled)
         SELECT i, 'w' || i, 'w' || i, '{SECRET}', {seats}, i > {disabled} FROM n WHERE i <= {workers};
         INSERT INTO pool_worker SELECT 1, id FROM worker;
         {} INSERT INTO job (id, job_template, worker_pool, title, script_content_partial, script_content, reschedule_interval, reschedule_interval_type)
             SELECT i, 1, 1, 'job' || i, '{script}', '{script}', CASE WHEN i <= {jobs} THEN 1 END, CASE WHEN i <= {jobs} THEN 'DAY' ELSE '' END FROM n;
         {} INSERT INTO run (job, schedule_id, worker, schedule_dts, enqueue_dts, start_dts, return_dts, return_success, pid, attempt)
             SELECT {all_jobs} - i % {history_of}, i, 1, i, i, i, i, 1, 1, 1 FROM n WHERE i <= {history};
         INSERT INTO run (job, schedule_id, schedule_dts, plan)
             SELECT id, id, 4000000000000000, 'every 1 Day in Europe/Amsterdam' FROM job WHERE id <= {jobs};
         INSERT INTO kill_request (run, attempt, worker, schedule_dts) SELECT id, attempt, worker, id FROM run WHERE id <= {kills};
         COMMIT;",
        numbers((*workers).max(1)),
        numbers(all_jobs),
        numbers((*history).max(1)),
    )
}

fn runs(due: &Due, jobs: usize, first: Moment) -> String {
    let Due { count, every, of, .. } = due;
    let (job, count) = match of {
        Jobs::Each => ("i", *count),
        Jobs::One => ("1", *count),
        Jobs::Chain => ("i", 1),
    };
    // The first of a chain is no run by hand: that one would not have the others follow.
    let is_manual = u8::from(*of != Jobs::Chain);
    let chain = match of {
        Jobs::Chain => {
            format!("UPDATE job SET parent = id - 1 WHERE id > {jobs} + 1 AND id <= {jobs} + {};", due.count)
        }
        Jobs::Each | Jobs::One => String::new(),
    };
    format!(
        "{chain} {} INSERT INTO run (job, schedule_id, schedule_dts, is_manual)
             SELECT {jobs} + {job}, {jobs} + i, {first} + (i - 1) * {every}, {is_manual} FROM n WHERE i <= {count};",
        numbers(count.max(1)),
    )
}

/// Logs of runs that were over long ago, in chunks as the server writes them.
fn logs((count, bytes): (usize, usize)) -> String {
    const CHUNK: usize = 65_536;
    let chunks = bytes.div_ceil(CHUNK).max(1);
    format!(
        "BEGIN;
         {} INSERT INTO run (id, job, schedule_id, worker, schedule_dts, enqueue_dts, start_dts, return_dts, return_success, pid, attempt)
             SELECT {LOGS_FROM} + i, 1, i, 1, i, i, i, i, 1, 1, 1 FROM n WHERE i <= {count};
         INSERT INTO run_log (run, bytes, newlines, unended) SELECT id, {chunks} * {CHUNK}, 0, 1 FROM run WHERE id > {LOGS_FROM};
         {} INSERT INTO log_chunk (log, start, newlines, data)
             SELECT run_log.id, (i - 1) * {CHUNK}, 0, CAST(printf('%.*c', {CHUNK}, 'x') AS BLOB) FROM run_log, n;
         COMMIT;",
        numbers(count.max(1)),
        numbers(chunks),
    )
}
