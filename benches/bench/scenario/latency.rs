//! One run at a time, each after a pause: how long it takes until the script speaks, and until its end is told.

use std::time::Duration;

use super::Subject;
use crate::failure::Failure;
use crate::figures::{Sample, quantile, sorted};
use crate::moment::{Moment, millis};
use crate::script;
use crate::stage::PATIENCE;
use crate::stub::RunRow;

/// The longest pause, in milliseconds. It is drawn anew each time, so that who looks now and then shows his mean.
const PAUSE: u64 = 250;
/// ... for the original, which looks every half second.
const PAUSE_OF_ORIGINAL: u64 = 500;

pub async fn one_by_one(subject: &Subject) -> Result<Sample, Failure> {
    let stage = subject.stage(4, None).await?;
    let runs = stage.stub.make(&script::says_when(), subject.count(100, 30, 25));
    let longest = if subject.is_original() { PAUSE_OF_ORIGINAL } else { PAUSE };
    for run in &runs {
        tokio::time::sleep(Duration::from_micros(fastrand::u64(..longest * 1000))).await;
        stage.burst(&[*run], PATIENCE).await?;
    }
    stage.judge(&runs)?;
    let between = |from: fn(&RunRow) -> Moment, to: fn(&RunRow) -> Moment| {
        let of = stage.stub.look(|ledger| {
            let times = runs.iter().map(|run| millis(from(&ledger.runs[*run]), to(&ledger.runs[*run])));
            times.collect::<Vec<_>>()
        });
        sorted(&of)
    };
    let first_line = between(|run| run.announced, |run| run.script_began);
    let returned = between(|run| run.script_ended, |run| run.returned);
    let claimed = between(|run| run.announced, |run| run.claimed);
    let at = |times: &[f64], part| quantile(times, part).unwrap_or(f64::NAN);
    Ok(vec![
        ("claimed_p50", at(&claimed, 0.5)),
        ("first_line_p50", at(&first_line, 0.5)),
        ("first_line_p99", at(&first_line, 0.99)),
        ("returned_p50", at(&returned, 0.5)),
        ("returned_p99", at(&returned, 0.99)),
    ])
}
