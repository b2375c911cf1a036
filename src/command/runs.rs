//! `job_runner runs`: lists the runs as a table or as JSON, the latest first.

use super::args::RunsArgs as Args;
use super::exit::{CommandFailure, OK, print};
use super::table::{between, json, local, or_dash, table};
use super::{paging, server_choice};
use crate::wire::operator::{RunInfo, RunList};

pub async fn run(args: Args) -> Result<u8, CommandFailure> {
    let with = args.with.map(|run| run.to_string());
    let mut query: Vec<_> = args.job.as_deref().map(|job| ("job", job)).into_iter().collect();
    query.extend(with.as_deref().map(|run| ("with", run)));
    query.extend(args.planned.then_some(("planned", "true")));
    let answer: RunList = paging::read(&server_choice::server(&args.at)?, &query, args.limit).await?;
    if args.json {
        json(&answer)?;
    } else {
        let rows: Vec<_> = answer.runs.iter().map(row).collect();
        print(&table(["RUN", "JOB", "STATE", "DUE", "TOOK", "WORKER", "EXIT"], &rows))?;
    }
    Ok(OK)
}

fn row(run: &RunInfo) -> [String; 7] {
    let exit = match (run.exit_code, run.exit_signal) {
        (Some(code), _) => Some(code.to_string()),
        (None, Some(signal)) => Some(format!("signal {signal}")),
        (None, None) => None,
    };
    [
        run.id.to_string(),
        run.title.clone(),
        run.state.word().to_owned(),
        local(&run.due),
        or_dash(between(run.started.as_deref(), run.ended.as_deref())),
        or_dash(run.worker.clone()),
        or_dash(exit),
    ]
}
