//! A look whether something is grossly slower than it was. What is noise may try again.

use std::process::ExitCode;

use super::failure::Failure;
use super::figures::Figures;
use super::rows::SMOKE;
use super::scenario::{self, Subject};
use super::table;

/// How often it is tried: what else the machine does lasts a moment, a gross loss stays.
const TRIES: usize = 3;

/// Measures little, and fails when it stays too slow.
pub async fn test(subject: &Subject) -> Result<ExitCode, Failure> {
    for row in SMOKE {
        let (scenario, figure) = row.key.split_once('.').unwrap_or((row.key, ""));
        let mut best = None;
        for _ in 0..TRIES {
            let mut figures = Figures::default();
            figures.add(scenario, scenario::measure(scenario, subject).await?);
            best = figures.summary(row.key).map(|summary| summary.median);
            let shown = best.map_or_else(|| format!("no {figure}"), |value| table::with_unit(value, row.unit));
            println!("{}: {shown}, {} is asked for", row.what, table::goal(row));
            if best.and_then(|value| row.goal.is_met(value)) == Some(true) {
                break;
            }
        }
        Failure::unless(best.and_then(|value| row.goal.is_met(value)) == Some(true), || {
            format!("{}: grossly slower than it was, {TRIES} times", row.what)
        })?;
    }
    Ok(ExitCode::SUCCESS)
}
