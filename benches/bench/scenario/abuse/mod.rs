//! The server under abuse: how much memory it takes, and how late somebody else's jobs start meanwhile.
//!
//! A case is a function that abuses a server until it is dropped, and a line in [`CASES`]. While it goes on, a worker of
//! another owner executes a run every tenth of a second; all of them must be executed, once and well.

mod http;
mod peer;
mod zmq;

use std::time::Duration;

use super::Subject;
use crate::failure::Failure;
use crate::figures::{Sample, quantile, sorted};
use crate::moment::{self, millis};
use crate::own::{Data, Due, Own};
use crate::{proc, script};

/// What can be done to a server. Each name is a scenario.
pub const CASES: &[&str] = &[
    "abuse_silence",
    "abuse_heads",
    "abuse_login",
    "abuse_unsigned",
    "abuse_pages",
    "abuse_uplink",
    "abuse_frames",
    "abuse_strangers",
    "abuse_repeats",
    "abuse_templates",
];

/// How many descriptors the server may have: an ordinary limit, which no case may use up.
const DESCRIPTORS: u32 = 1024;
/// How many runs somebody else has meanwhile, and the pause between two of them in microseconds.
const RUNS: usize = 100;
const PAUSE: u64 = 100_000;
/// How long after the data is complete the first run is due, in microseconds: the abuse is at its height by then.
const READY: u64 = 5_000_000;
/// How long all may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// The other worker, whose runs are measured; those who abuse sign as the first.
const OTHER: usize = 2;

/// Does to a server what a case says, and measures the runs of somebody else meanwhile.
pub async fn of(case: &str, subject: &Subject) -> Result<Sample, Failure> {
    let count = subject.count(RUNS, RUNS / 2, 0);
    let own = Own::start(&subject.server, &data(case, count)).await?;
    let mut listener = own.listen().await?;
    let worker = own.hire(&subject.make, OTHER, 4).await?;
    // Data of a case that is hard to make is no memory of the server's.
    proc::forget_peak(own.pid);
    let over = tokio::select! {
        over = listener.returned(count, PATIENCE) => over,
        ended = abuse(case, &own) => Err(Failure(format!("the abuse ended by itself: {ended:?}"))),
    };
    over.map_err(|failure| Failure(format!("{failure}{}", worker.last_words())))?;
    let peak = proc::peak(own.pid).ok_or_else(|| Failure("the server is gone".to_owned()))?;
    let ran = own.judge(count)?;
    let began = |log: &str| log.lines().find_map(|line| moment::of_bash(line.strip_prefix("S=")?));
    let late: Vec<f64> =
        ran.iter().filter_map(|run| Some(millis(run.due.try_into().ok()?, began(&run.log)?))).collect();
    Failure::unless(late.len() == count, || format!("{} of {count} scripts spoke", late.len()))?;
    let late = sorted(&late);
    let at = |part| quantile(&late, part).unwrap_or(f64::NAN);
    Ok(vec![("peak", peak * 1.024e-3), ("started_p50", at(0.5)), ("started_p99", at(0.99))])
}

fn data(case: &str, count: usize) -> Data {
    let due = Due { count, after: READY, every: PAUSE, ..Due::default() };
    let logs = if case == "abuse_pages" { http::LOGS } else { (0, 0) };
    Data {
        workers: OTHER,
        // A worker that only abuses claims nothing: a run that was offered to it would wait to be announced again.
        disabled: OTHER - 1,
        seats: 4,
        due: vec![due],
        script: script::says_when(),
        descriptors: Some(DESCRIPTORS),
        logs,
        ..Data::default()
    }
}

/// Goes on until it is dropped.
async fn abuse(case: &str, own: &Own) -> Result<(), Failure> {
    match case {
        "abuse_silence" => http::silence(own).await,
        "abuse_heads" => http::heads(own).await,
        "abuse_login" => http::login(own).await,
        "abuse_unsigned" => http::unsigned(own).await,
        "abuse_pages" => http::pages(own).await,
        "abuse_uplink" => http::uplink(own).await,
        "abuse_templates" => http::templates(own).await,
        "abuse_frames" => zmq::frames(own).await,
        "abuse_strangers" => zmq::strangers(own).await,
        "abuse_repeats" => zmq::repeats(own).await,
        _ => Err(Failure(format!("nothing is called {case}"))),
    }
}
