//! Our own server under loads that its users have: one job with a long history, many jobs due at one minute, a chain of
//! jobs, a million runs a day.

use std::time::Duration;

use super::Subject;
use crate::failure::Failure;
use crate::figures::{Sample, quantile, sorted};
use crate::moment::{self, millis};
use crate::own::{Crowd, Data, Due, Jobs, Own};
use crate::{proc, script};

/// How long all may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time from the end of the seeding to the first due time, in microseconds: server and workers must be there.
const READY: u64 = 2_500_000;
/// Additional time for each run of the history, in microseconds: the server opens a larger file.
const A_PAST_RUN: u64 = 5;
/// Workers of the herd, and slots of each.
const HERD: (usize, usize) = (2, 32);
/// Jobs of the chain.
const CHAIN: usize = 40;
/// Pause between two runs if there are a million a day, in microseconds.
const MILLIONTH_OF_A_DAY: u64 = 86_400;
/// Pause before the runs that are due at once, in microseconds.
const REST: u64 = 500_000;

/// Runs of one job, one after another, whose past runs are many: first paced ones, then as fast as it goes.
pub async fn of_one_job(subject: &Subject, past: usize) -> Result<Sample, Failure> {
    let after = READY + past as u64 * A_PAST_RUN;
    let paced = Due { count: subject.count(200, 100, 0), of: Jobs::One, after, every: 20_000 };
    let after = after + paced.count as u64 * paced.every + REST;
    let at_once = Due { count: subject.count(500, 200, 0), of: Jobs::One, after, every: 0 };
    let data =
        Data { workers: 1, seats: 16, history: past, history_of: 2, due: vec![paced, at_once], ..Data::default() };
    let count = paced.count + at_once.count;
    let own = Own::start(&subject.server, &data).await?;
    let mut listener = own.listen().await?;
    let crowd = Crowd::connect(own.http, data.workers).await?;
    Failure::unless(own.first_due() > moment::now(), || "the worker was not connected in time".to_owned())?;
    let over = listener.returned(count, PATIENCE).await?;
    own.judge(count)?;
    let (seen, dues) = (crowd.seen(), own.due_times()?);
    let begin = own.due.last().copied().unwrap_or(0);
    let late = dues.iter().filter(|(_, due)| *due < begin);
    let late = sorted(&late.filter_map(|(run, due)| Some(millis(*due, seen.get(run)?.announced))).collect::<Vec<_>>());
    Failure::unless(late.len() == paced.count, || format!("{} of {} runs were seen", late.len(), paced.count))?;
    Ok(vec![
        ("runs", at_once.count as f64 / (millis(begin, over) / 1e3)),
        ("announced_p50", quantile(&late, 0.5).unwrap_or(f64::NAN)),
        ("announced_p99", quantile(&late, 0.99).unwrap_or(f64::NAN)),
    ])
}

/// The start of a server that has many jobs: until it answers, and until it announces a run that came due before.
pub async fn start(subject: &Subject, jobs: usize) -> Result<Sample, Failure> {
    let (mut answered, mut announced) = (Vec::new(), Vec::new());
    for _ in 0..subject.count(5, 2, 0) {
        let due = Due { count: 1, ..Due::default() };
        let data = Data { workers: 1, seats: 4, jobs, due: vec![due], ..Data::default() };
        let own = Own::start(&subject.server, &data).await?;
        answered.push(millis(own.started, moment::now()));
        let mut listener = own.listen().await?;
        let crowd = Crowd::connect(own.http, data.workers).await?;
        listener.returned(1, PATIENCE).await?;
        let first = crowd.seen().values().map(|seen| seen.announced).min().unwrap_or(0);
        announced.push(millis(own.started, first));
    }
    let median = |times: &[f64]| quantile(&sorted(times), 0.5).unwrap_or(f64::NAN);
    Ok(vec![("answered", median(&answered)), ("announced", median(&announced))])
}

/// Many jobs that are due at one moment, with two real workers.
pub async fn herd(subject: &Subject, jobs: usize) -> Result<Sample, Failure> {
    let (workers, seats) = HERD;
    let due = Due { count: jobs, after: READY + jobs as u64 * A_PAST_RUN, ..Due::default() };
    let data = Data { workers, seats, due: vec![due], script: script::NOTHING.to_owned(), ..Data::default() };
    let own = Own::start(&subject.server, &data).await?;
    let mut listener = own.listen().await?;
    let mut hired = Vec::new();
    for number in 1..=workers {
        hired.push(own.hire(&subject.make, number, seats).await?);
    }
    let (started, over) = listener.started_and_returned(jobs, PATIENCE).await.map_err(|failure| {
        Failure(format!("{failure}{}", hired.iter().map(crate::worker::Worker::last_words).collect::<String>()))
    })?;
    own.was_ready()?;
    own.judge(jobs)?;
    Ok(vec![
        ("last_started", millis(own.first_due(), started) / 1e3),
        ("last_returned", millis(own.first_due(), over) / 1e3),
        ("missed", own.missed()? as f64),
    ])
}

/// A chain of jobs that do nothing, each of which runs after the one before it.
pub async fn chain(subject: &Subject) -> Result<Sample, Failure> {
    let due = Due { count: CHAIN, of: Jobs::Chain, after: READY, every: 0 };
    let data = Data { workers: 1, seats: 4, due: vec![due], script: script::NOTHING.to_owned(), ..Data::default() };
    let own = Own::start(&subject.server, &data).await?;
    let mut listener = own.listen().await?;
    let worker = own.hire(&subject.make, 1, data.seats).await?;
    let over = listener.returned(CHAIN, PATIENCE).await;
    let over = over.map_err(|failure| Failure(format!("{failure}{}", worker.last_words())))?;
    own.was_ready()?;
    own.judge(CHAIN)?;
    Ok(vec![("wall", millis(own.first_due(), over) / 1e3)])
}

/// A million runs a day, as a steady load for a while, by light workers: what it costs the server.
pub async fn day(subject: &Subject) -> Result<Sample, Failure> {
    let due = Due { count: subject.count(350, 120, 0), after: READY, every: MILLIONTH_OF_A_DAY, ..Due::default() };
    let data = Data { workers: 10, seats: 16, jobs: 100, due: vec![due], ..Data::default() };
    let own = Own::start(&subject.server, &data).await?;
    let mut listener = own.listen().await?;
    let _crowd = Crowd::connect(own.http, data.workers).await?;
    let left = own.first_due().saturating_sub(moment::now());
    Failure::unless(left > 0, || "the workers were not connected in time".to_owned())?;
    tokio::time::sleep(Duration::from_micros(left)).await;
    let (before, began) = (proc::worked(own.pid).unwrap_or(f64::NAN), moment::now());
    let over = listener.returned(due.count, PATIENCE).await?;
    let worked = proc::worked(own.pid).unwrap_or(f64::NAN) - before;
    own.judge(due.count)?;
    Ok(vec![
        ("cpu", 100.0 * worked / (millis(began, over) / 1e3)),
        ("memory", proc::resident(own.pid).unwrap_or(f64::NAN) * 1.024e-3),
    ])
}
