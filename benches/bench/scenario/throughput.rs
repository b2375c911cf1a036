//! Many scripts that do nothing, announced at once.

use std::time::Duration;

use super::Subject;
use crate::failure::Failure;
use crate::figures::Sample;
use crate::moment::millis;
use crate::stub::Slowness;
use crate::{limit, proc, script};

/// How long the limit is measured, before and after.
const LIMIT: Duration = Duration::from_secs(1);
/// How long all may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn burst(subject: &Subject, seats: usize, slowness: Option<Slowness>) -> Result<Sample, Failure> {
    let count = if slowness.is_some() { subject.count(500, 200, 60) } else { subject.count(2000, 1000, 100) };
    let stage = subject.stage(seats, slowness).await?;
    let limit_before = limit::measure(LIMIT, stage.worker.folder())?;
    let (calls, connections) = (stage.stub.look(|ledger| ledger.counts.calls), stage.stub.connections());
    let (worked, own) = (stage.worked(), own());
    proc::forget_peak(stage.worker.pid);
    let runs = stage.stub.make(script::NOTHING, count);
    stage.burst(&runs, PATIENCE).await?;
    let (worked, own) = (stage.worked() - worked, self::own() - own);
    let (calls, connections) =
        (stage.stub.look(|ledger| ledger.counts.calls) - calls, stage.stub.connections() - connections);
    let limit = f64::midpoint(limit_before, limit::measure(LIMIT, stage.worker.folder())?);
    stage.judge(&runs)?;
    let seconds = stage.stub.look(|ledger| {
        let moments = runs.iter().map(|run| (ledger.runs[*run].announced, ledger.runs[*run].returned));
        let (first, last) = moments.fold((u64::MAX, 0), |(first, last), of| (first.min(of.0), last.max(of.1)));
        millis(first, last) / 1e3
    });
    let count = count as f64;
    let rate = count / seconds;
    Ok(vec![
        ("runs", rate),
        ("limit", limit),
        ("of_limit", 100.0 * rate / limit),
        ("calls", calls as f64 / count),
        ("connections", connections as f64 / count),
        // Of the worker's own process; shims and scripts are nobody's children.
        ("worker_cpu", 1e3 * worked / count),
        // Of the server and of this program: what the worker could not have.
        ("stub_cpu", 1e6 * own / calls as f64),
        ("peak", proc::peak(stage.worker.pid).unwrap_or(0.0) * 1.024e-3),
    ])
}

/// Seconds that this program has worked.
fn own() -> f64 {
    i32::try_from(std::process::id()).ok().and_then(proc::worked).unwrap_or(0.0)
}
