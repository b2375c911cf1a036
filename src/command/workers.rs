//! `job_runner workers`

use super::args::List;
use super::exit::{Failure, OK, print};
use super::find;
use super::table::{json, local, or_dash, table};
use crate::wire::operator::{Worker, Workers};

pub async fn run(args: List) -> Result<u8, Failure> {
    let answer: Workers = find::server(&args.at)?.get(&["workers"], &[]).await?;
    if args.json {
        json(&answer);
    } else {
        let rows: Vec<_> = answer.workers.iter().map(row).collect();
        print(&table(["ID", "TITLE", "POOLS", "ENABLED", "ANSWERED", "VERSION", "RUNS"], &rows));
    }
    Ok(OK)
}

fn row(worker: &Worker) -> [String; 7] {
    let seats = worker.seats.map_or_else(|| worker.runs.to_string(), |seats| format!("{} of {seats}", worker.runs));
    [
        worker.id.to_string(),
        worker.title.clone(),
        worker.pools.join(", "),
        if worker.enabled { "yes" } else { "no" }.to_owned(),
        or_dash(worker.answered.as_deref().map(local)),
        or_dash(worker.version.clone()),
        seats,
    ]
}
