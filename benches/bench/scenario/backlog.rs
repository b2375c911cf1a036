//! A worker that comes back with facts that it could not deliver: a start, a log and a result of each of many runs.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jobrunner::report::{Durability, Outbox, OutboxEntry, OutboxLocation, Start, StoredEnd};
use jobrunner::run::{Attempt, Left, Outcome, ProcessExit, RunId};

use super::Subject;
use crate::failure::Failure;
use crate::figures::Sample;
use crate::moment::millis;
use crate::script;
use crate::stage::{Setting, Stage};
use crate::stub::{API_KEY, Stub};

/// How many facts there are of a run.
const FACTS: usize = 3;
/// How many are written together.
const TOGETHER: usize = 256;
/// How long it may take until all is delivered.
const PATIENCE: Duration = Duration::from_secs(120);

pub async fn undelivered(subject: &Subject) -> Result<Sample, Failure> {
    let count = subject.count(100_000, 9_000, 0).div_ceil(FACTS);
    let setting = Setting { make: &subject.make, seats: 64, slowness: None };
    let (mut runs, mut opened) = (Vec::new(), Duration::ZERO);
    let prepare = async |stub: &Stub, folder: &Path| {
        runs = stub.make(script::NOTHING, count);
        stub.claim(&runs);
        let state = folder.join("state").join(API_KEY);
        std::fs::DirBuilder::new().mode(0o700).create(&state)?;
        let place = OutboxLocation {
            path: state.join("outbox.sqlite"),
            // As the worker's setting says it.
            server: format!("http://{}/", stub.http),
            durability: Durability::Process,
            reserve: 0,
        };
        fill(place.clone(), &runs).await?;
        let began = Instant::now();
        let (_outbox, found) = Outbox::open(place).await?;
        opened = began.elapsed();
        Failure::unless(found.runs.len() == count, || format!("{} of {count} runs were kept", found.runs.len()))
    };
    let stage = Stage::prepared(setting, prepare).await?;
    let delivered = stage.stub.until("return of every run", PATIENCE, move |counts| counts.returned >= count).await;
    stage.told(delivered)?;
    let (first, last, wrong) = stage.stub.look(|ledger| {
        let of = |run: &usize| &ledger.runs[*run];
        let first = runs.iter().map(|run| of(run).started).min().unwrap_or(0);
        let is_wrong = |run: &&usize| of(run).starts != 1 || of(run).returns != 1 || of(run).success != Some(true);
        (first, runs.iter().map(|run| of(run).returned).max().unwrap_or(0), runs.iter().filter(is_wrong).count())
    });
    Failure::unless(wrong == 0, || format!("{wrong} runs were not told as they should be"))?;
    let facts = (count * FACTS) as f64;
    Ok(vec![("opened", opened.as_secs_f64()), ("facts", facts / (millis(first, last) / 1e3)), ("count", facts)])
}

async fn fill(place: OutboxLocation, runs: &[usize]) -> Result<(), Failure> {
    let (outbox, _) = Outbox::open(place).await?;
    let entries = runs.iter().map(|run| entry(*run)).collect::<Option<Vec<_>>>();
    let entries = entries.ok_or_else(|| Failure("no number of a run".to_owned()))?;
    for some in entries.chunks(TOGETHER) {
        join_all(some.iter().map(|entry| outbox.run(entry))).await;
    }
    Ok(())
}

fn entry(run: usize) -> Option<OutboxEntry> {
    let outcome = Outcome::Ran { exit: ProcessExit::Code(0), cause: None, left: Left::Nobody };
    Some(OutboxEntry {
        run: RunId::new(i64::try_from(run).ok()? + 1)?,
        attempt: Attempt(1),
        claim: None,
        losses: 0,
        token: "0123456789abcdef".to_owned(),
        run_log: None,
        start: Some(Start { pid: 1, at: "2026-01-01 00:00:00.000001+00:00".to_owned() }),
        end: Some(StoredEnd::now(outcome)),
    })
}
