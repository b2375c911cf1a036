//! `job_runner jobs`: lists the jobs as a table or as JSON.

use super::args::List;
use super::exit::{CommandFailure, OK, print};
use super::table::{json, local, or_dash, table};
use super::{paging, server_choice};
use crate::wire::operator::{JobInfo, JobList};

pub async fn run(args: List) -> Result<u8, CommandFailure> {
    let answer: JobList = paging::read(&server_choice::server(&args.at)?, &[], args.limit).await?;
    if args.json {
        json(&answer)?;
    } else {
        let rows: Vec<_> = answer.jobs.iter().map(row).collect();
        print(&table(["ID", "TITLE", "POOL", "SCHEDULE", "ENABLED", "NEXT", "LAST RUN"], &rows))?;
    }
    Ok(OK)
}

fn row(job: &JobInfo) -> [String; 7] {
    let last = job.last_run.zip(job.last_state).map(|(run, state)| format!("{run} {}", state.word()));
    [
        job.id.to_string(),
        job.title.clone(),
        job.pool.clone(),
        or_dash(job.schedule.clone()),
        if job.enabled { "yes" } else { "no" }.to_owned(),
        or_dash(job.next.as_deref().map(local)),
        or_dash(last),
    ]
}
