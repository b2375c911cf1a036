//! `job_runner flamenco`: submits jobs for Flamenco workers, lists them, and cancels them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::args::{FlamencoArgs, FlamencoJob, FlamencoList, FlamencoSubmit};
use super::exit::{CommandFailure, NO_INPUT, OK, print};
use super::table::{json, local, shown, table};
use super::{script_file, server_choice};
use crate::wire::flamenco::submission::{
    CanceledJob, FarmJobInfo, FarmJobList, FarmTaskInfo, FarmTaskList, SubmittedJob,
};

/// Longest file of a job in bytes, which is what a server accepts.
const LONGEST: u64 = 64 * 1024 * 1024;
/// Tasks that are asked for at once; a job has 100,000 at most.
const PAGE: &str = "1000";
/// Path of the jobs below the operator's API.
const JOBS: [&str; 2] = ["flamenco", "jobs"];

pub async fn run(args: FlamencoArgs) -> Result<u8, CommandFailure> {
    match args {
        FlamencoArgs::Submit(args) => submit(args).await,
        FlamencoArgs::Jobs(args) => jobs(args).await,
        FlamencoArgs::Tasks(args) => tasks(args).await,
        FlamencoArgs::Cancel(args) => cancel(args).await,
    }
}

async fn submit(args: FlamencoSubmit) -> Result<u8, CommandFailure> {
    let text = script_file::read_at_most(&args.file, LONGEST)?;
    // Only whether it is JSON is checked here; the server names every mistake in it.
    let job: Value = serde_json::from_str(&text)
        .map_err(|e| CommandFailure::new(NO_INPUT, format!("{} is no JSON: {e}", args.file.display())))?;
    let made: SubmittedJob = server_choice::server(&args.at)?.post(&JOBS, &job).await?;
    if args.json {
        json(&made)?;
    } else {
        print(&format!("job {} is submitted, tasks: {}\n", made.id, made.tasks.len()))?;
    }
    Ok(OK)
}

async fn jobs(args: FlamencoList) -> Result<u8, CommandFailure> {
    let limit = args.limit.to_string();
    let answer: FarmJobList = server_choice::server(&args.at)?.get(&JOBS, &[("limit", &limit)]).await?;
    if args.json {
        json(&answer)?;
    } else {
        let rows: Vec<_> = answer.jobs.iter().map(job_row).collect();
        print(&table(["ID", "NAME", "PRIORITY", "SUBMITTED", "TASKS"], &rows))?;
    }
    Ok(OK)
}

async fn tasks(args: FlamencoJob) -> Result<u8, CommandFailure> {
    let (server, path) = (server_choice::server(&args.at)?, ["flamenco", "jobs", args.job.as_str(), "tasks"]);
    let mut answer: FarmTaskList = server.get(&path, &[("limit", PAGE)]).await?;
    while let Some(after) = answer.next.take() {
        let page: FarmTaskList = server.get(&path, &[("limit", PAGE), ("after", &after.to_string())]).await?;
        answer.tasks.extend(page.tasks);
        answer.next = page.next;
    }
    if args.json {
        json(&answer)?;
    } else {
        let rows: Vec<_> = answer.tasks.iter().map(task_row).collect();
        print(&table(["ID", "NAME", "TYPE", "STATE", "WORKER", "ACTIVITY"], &rows))?;
    }
    Ok(OK)
}

async fn cancel(args: FlamencoJob) -> Result<u8, CommandFailure> {
    let path = ["flamenco", "jobs", &args.job, "cancel"];
    let answer: CanceledJob = server_choice::server(&args.at)?.post(&path, &BTreeMap::<String, String>::new()).await?;
    if args.json {
        json(&answer)?;
    } else {
        let CanceledJob { canceled, requested } = answer;
        print(&format!("tasks cancelled: {canceled}, asked to stop: {requested}\n"))?;
    }
    Ok(OK)
}

fn job_row(job: &FarmJobInfo) -> [String; 5] {
    let tasks: Vec<String> = job.tasks.iter().map(|(state, number)| format!("{number} {state}")).collect();
    [job.id.to_string(), shown(&job.name), job.priority.to_string(), local(&job.created), tasks.join(", ")]
}

fn task_row(task: &FarmTaskInfo) -> [String; 6] {
    let state = match task.unfinished_parents {
        0 => task.status.word().to_owned(),
        parents => format!("{}, waits for {parents}", task.status.word()),
    };
    [
        task.id.to_string(),
        shown(&task.name),
        shown(&task.task_type),
        state,
        shown(&task.worker_name),
        shown(&task.activity),
    ]
}
