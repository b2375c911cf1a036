//! Our workers before our own server, each over a WebSocket: from the moment at which a run is due.

use std::time::Duration;

use super::Subject;
use crate::failure::Failure;
use crate::figures::{Sample, quantile, sorted};
use crate::moment::{self, Moment, millis};
use crate::own::{Data, Due, Engine, Own};
use crate::{limit, proc, script};

/// How long the limit is measured, before and after.
const LIMIT: Duration = Duration::from_secs(1);
/// How long all may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long after the data is complete the first run is due, in microseconds: the server and its workers must be there.
const READY: u64 = 2_500_000;
/// How much longer it takes to move the data to PostgreSQL and to start another server, in microseconds.
const MOVED: u64 = 4_000_000;
/// The pause between two runs whose latency is measured, in microseconds.
const PAUSE: u64 = 100_000;

/// Many scripts that do nothing, due at once.
pub async fn burst(subject: &Subject, workers: usize, seats: usize) -> Result<Sample, Failure> {
    let count = subject.count(2000, 1000, 0);
    let folder = tempfile::TempDir::new()?;
    let before = limit::measure(LIMIT, folder.path())?;
    let due = Due { count, after: READY, every: 0, ..Due::default() };
    let done = work(subject, workers, seats, due, script::NOTHING).await?;
    let limit = f64::midpoint(before, limit::measure(LIMIT, folder.path())?);
    let rate = count as f64 / (millis(done.due, done.over) / 1e3);
    Ok(vec![
        ("runs", rate),
        ("limit", limit),
        ("of_limit", 100.0 * rate / limit),
        ("server_cpu", 1e3 * done.server_worked / count as f64),
        ("server_peak", done.server_peak * 1.024e-3),
    ])
}

/// Many scripts that do nothing, due at once, with the data in SQLite, and in PostgreSQL with one server and with two; two
/// workers each time.
pub async fn engines(subject: &Subject) -> Result<Sample, Failure> {
    let count = subject.count(2000, 500, 0);
    let due = Due { count, after: READY, every: 0, ..Due::default() };
    let moved = Due { after: READY + MOVED, ..due };
    let mut rates = [0.0; 3];
    let engines =
        [(Engine::Sqlite, due), (Engine::Postgres { servers: 1 }, moved), (Engine::Postgres { servers: 2 }, moved)];
    for (rate, (engine, due)) in rates.iter_mut().zip(engines) {
        let done = work_at(engine, subject, 2, 64, due, script::NOTHING).await?;
        *rate = count as f64 / (millis(done.due, done.over) / 1e3);
    }
    let [sqlite, postgres, two] = rates;
    Ok(vec![
        ("sqlite", sqlite),
        ("runs", postgres),
        ("of_sqlite", 100.0 * postgres / sqlite),
        ("two_servers", two),
        ("two_of_one", 100.0 * two / postgres),
    ])
}

/// One run at a time.
pub async fn one_by_one(subject: &Subject) -> Result<Sample, Failure> {
    let count = subject.count(100, 30, 0);
    let due = Due { count, after: READY, every: PAUSE, ..Due::default() };
    let done = work(subject, 1, 4, due, &script::says_when()).await?;
    let began = |log: &str| log.lines().find_map(|line| moment::of_bash(line.strip_prefix("S=")?));
    let first_line: Vec<f64> =
        done.ran.iter().filter_map(|run| Some(millis(run.due.try_into().ok()?, began(&run.log)?))).collect();
    Failure::unless(first_line.len() == count, || format!("{} of {count} scripts spoke", first_line.len()))?;
    let first_line = sorted(&first_line);
    let at = |part| quantile(&first_line, part).unwrap_or(f64::NAN);
    Ok(vec![("first_line_p50", at(0.5)), ("first_line_p99", at(0.99))])
}

/// What came of it.
struct Done {
    due: Moment,
    over: Moment,
    ran: Vec<crate::own::Ran>,
    server_worked: f64,
    server_peak: f64,
}

async fn work(subject: &Subject, workers: usize, seats: usize, due: Due, script: &str) -> Result<Done, Failure> {
    work_at(Engine::Sqlite, subject, workers, seats, due, script).await
}

async fn work_at(
    engine: Engine,
    subject: &Subject,
    workers: usize,
    seats: usize,
    due: Due,
    script: &str,
) -> Result<Done, Failure> {
    let count = due.count;
    let data = Data { engine, workers, seats, due: vec![due], script: script.to_owned(), ..Data::default() };
    let own = Own::start(&subject.server, &data).await?;
    let mut listener = own.listen().await?;
    let mut hired = Vec::new();
    for number in 1..=workers {
        hired.push(own.hire(&subject.make, number, seats).await?);
    }
    let over = listener.returned(count, PATIENCE).await.map_err(|failure| {
        Failure(format!("{failure}{}", hired.iter().map(crate::worker::Worker::last_words).collect::<String>()))
    })?;
    let (server_worked, server_peak) = (proc::worked(own.pid).unwrap_or(0.0), proc::peak(own.pid).unwrap_or(0.0));
    own.was_ready()?;
    let ran = own.judge(count)?;
    Ok(Done { due: own.first_due(), over, ran, server_worked, server_peak })
}
