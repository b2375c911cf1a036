//! Many scripts that only wait, side by side.

use super::Subject;
use crate::failure::Failure;
use crate::figures::Sample;
use crate::moment::millis;
use crate::script;
use crate::stage::PATIENCE;

/// How many.
const COUNT: usize = 64;

pub async fn side_by_side(subject: &Subject) -> Result<Sample, Failure> {
    let stage = subject.stage(COUNT, None).await?;
    let runs = stage.stub.make(&script::sleeps(2), COUNT);
    stage.burst(&runs, PATIENCE).await?;
    stage.judge(&runs)?;
    let wall = stage.stub.look(|ledger| {
        let first = runs.iter().map(|run| ledger.runs[*run].announced).min().unwrap_or(0);
        millis(first, runs.iter().map(|run| ledger.runs[*run].returned).max().unwrap_or(0)) / 1e3
    });
    Ok(vec![("wall", wall)])
}
