//! A worker that is told to leave while scripts run.

use super::Subject;
use crate::failure::Failure;
use crate::figures::Sample;
use crate::moment::{self, millis};
use crate::script;
use crate::stage::PATIENCE;

/// How many run.
const COUNT: usize = 4;

pub async fn last_words(subject: &Subject) -> Result<Sample, Failure> {
    let mut stage = subject.stage(COUNT, None).await?;
    let (pids, returned) = stage.stub.look(|ledger| (ledger.counts.pids, ledger.counts.returned));
    let runs = stage.stub.make(&script::sleeps(2), COUNT);
    stage.stub.announce(&runs)?;
    stage.stub.until("pid of every run", PATIENCE, move |counts| counts.pids >= pids + COUNT).await?;
    stage.worker.drain()?;
    stage.worker.ended(PATIENCE).await?;
    let left = moment::now();
    stage.over(returned + COUNT, 0, PATIENCE).await?;
    stage.judge(&runs)?;
    let (ended, returned) = stage.stub.look(|ledger| {
        let latest = |of: fn(&crate::stub::RunRow) -> u64| runs.iter().map(|run| of(&ledger.runs[*run])).max();
        (latest(|run| run.script_ended).unwrap_or(0), latest(|run| run.returned).unwrap_or(0))
    });
    Ok(vec![("left", millis(ended, left)), ("left_after_return", millis(returned, left))])
}
