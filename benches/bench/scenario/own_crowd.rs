//! Our own server before many workers, most of which have nothing to do.

use std::time::Duration;

use super::Subject;
use crate::failure::Failure;
use crate::figures::{Sample, quantile, sorted};
use crate::moment::{self, Moment, millis};
use crate::own::{Crowd, Data, Due, Own, Seen};
use crate::proc;

/// How long all may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// How many workers.
const WORKERS: usize = 1000;
/// How many jobs have a run some day.
const JOBS: usize = 10_000;
/// How long after the data is complete the first run is due, in microseconds: the workers must be connected.
const READY: u64 = 6_000_000;
/// How long before it their memory is read, in microseconds.
const BEFORE: u64 = 200_000;
/// The pause between the runs that come one after another and those that come at once, in microseconds.
const REST: u64 = 500_000;

/// Runs that are due one after another, among many jobs that are not.
pub async fn due_among_many(subject: &Subject) -> Result<Sample, Failure> {
    let due = Due { count: subject.count(1000, 300, 0), after: READY, every: 5_000, ..Due::default() };
    let data = Data { workers: WORKERS, seats: 4, jobs: JOBS, due: vec![due], ..Data::default() };
    let done = work(subject, &data).await?;
    let announced = sorted(&done.announced);
    let at = |part| quantile(&announced, part).unwrap_or(f64::NAN);
    Ok(vec![("idle", done.idle * 1.024e-3), ("announced_p50", at(0.5)), ("announced_p99", at(0.99))])
}

/// Runs that are due one after another and then many that are due at once, for so many workers, after so many that are over.
pub async fn paced_and_at_once(subject: &Subject, workers: usize, history: usize) -> Result<Sample, Failure> {
    let after = READY.min(1_500_000 + workers as u64 * 4_500) + history as u64 * 2;
    let paced = Due { count: subject.count(300, 150, 0), after, every: 10_000, ..Due::default() };
    let at_once = Due {
        count: subject.count(2000, 1000, 0),
        after: after + paced.count as u64 * paced.every + REST,
        every: 0,
        ..Due::default()
    };
    let data = Data { workers, seats: 16, jobs: 100, history, due: vec![paced, at_once], ..Data::default() };
    let done = work(subject, &data).await?;
    let announced = sorted(&done.announced);
    Ok(vec![
        ("runs", at_once.count as f64 / done.seconds),
        ("announced_p99", quantile(&announced, 0.99).unwrap_or(f64::NAN)),
        ("memory", done.idle * 1.024e-3),
    ])
}

/// What came of it.
struct Done {
    /// Resident memory with all of them connected, in KiB.
    idle: f64,
    /// How long after it was due each run of the first lot was announced, in milliseconds.
    announced: Vec<f64>,
    /// From the moment at which the last lot began to be due to the last return.
    seconds: f64,
}

async fn work(subject: &Subject, data: &Data) -> Result<Done, Failure> {
    let count = data.due.iter().map(|due| due.count).sum();
    let own = Own::start(&subject.server, data).await?;
    let mut listener = own.listen().await?;
    let crowd = Crowd::connect(own.http, data.workers).await?;
    let left = own.first_due().saturating_sub(moment::now());
    Failure::unless(left > BEFORE, || "the workers were not connected in time".to_owned())?;
    // What their coming has set in motion comes to rest.
    tokio::time::sleep(Duration::from_micros(left - BEFORE)).await;
    let idle = proc::resident(own.pid).unwrap_or(0.0);
    listener.returned(count, PATIENCE).await?;
    own.judge(count)?;
    let (seen, dues) = (crowd.seen(), own.due_times()?);
    let of: Vec<(Moment, Seen)> = dues.into_iter().filter_map(|(run, due)| Some((due, *seen.get(&run)?))).collect();
    Failure::unless(of.len() == count, || format!("{} of {count} runs were seen", of.len()))?;
    let last = of.iter().map(|(_, seen)| seen.returned).max().unwrap_or(0);
    let mut firsts: Vec<&(Moment, Seen)> = of.iter().collect();
    firsts.sort_by_key(|(due, _)| *due);
    firsts.truncate(data.due.first().map_or(0, |due| due.count));
    Ok(Done {
        idle,
        announced: firsts.iter().map(|(due, seen)| millis(*due, seen.announced)).collect(),
        seconds: millis(own.due.last().copied().unwrap_or(0), last) / 1e3,
    })
}
