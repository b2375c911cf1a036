//! `job_runner flamenco`: submits jobs for Flamenco workers, looks after their tasks, and commands the workers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::Value;

use super::args::{
    FlamencoArgs, FlamencoCommand, FlamencoJob, FlamencoList, FlamencoLog, FlamencoRequeue, FlamencoSubmit,
    FlamencoTask, FlamencoTasks, FlamencoWorkers,
};
use super::exit::{CommandFailure, FAILURE, NO_INPUT, OK, print, say, written};
use super::table::{json, local, or_dash, shown, table};
use super::{script_file, server_choice};
use crate::wire::flamenco::FarmWorkerStatus;
use crate::wire::flamenco::submission::{
    CanceledJob, FarmJobInfo, FarmJobList, FarmTaskInfo, FarmTaskList, SubmittedJob,
};
use crate::wire::flamenco::supervision::{
    FarmTaskDetails, FarmWorkerCommand, FarmWorkerInfo, FarmWorkerList, FarmWorkerOrder, OrderedWorkers, RequeuedTasks,
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
        FlamencoArgs::Why(args) => why(args).await,
        FlamencoArgs::Log(args) => log(args).await,
        FlamencoArgs::Requeue(args) => requeue(args).await,
        FlamencoArgs::Workers(args) => workers(args).await,
        FlamencoArgs::Sleep(args) => command(FarmWorkerCommand::Sleep, args).await,
        FlamencoArgs::Wake(args) => command(FarmWorkerCommand::Wake, args).await,
        FlamencoArgs::Shutdown(args) => command(FarmWorkerCommand::Shutdown, args).await,
        FlamencoArgs::Forget(args) => command(FarmWorkerCommand::Forget, args).await,
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

async fn tasks(args: FlamencoTasks) -> Result<u8, CommandFailure> {
    let (server, path) = (server_choice::server(&args.at)?, ["flamenco", "jobs", args.job.as_str(), "tasks"]);
    let mut query = vec![("limit", PAGE)];
    query.extend(args.state.as_deref().map(|state| ("state", state)));
    let mut answer: FarmTaskList = server.get(&path, &query).await?;
    while let Some(after) = answer.next.take() {
        let after = after.to_string();
        let page: FarmTaskList = server.get(&path, &[query.as_slice(), &[("after", &after)]].concat()).await?;
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

async fn why(args: FlamencoTask) -> Result<u8, CommandFailure> {
    let task: FarmTaskDetails = server_choice::server(&args.at)?.get(&["flamenco", "tasks", &args.task], &[]).await?;
    if args.json {
        json(&task)?;
    } else {
        print(&explanation(&task))?;
    }
    Ok(OK)
}

fn explanation(details: &FarmTaskDetails) -> String {
    let FarmTaskDetails { task, job, .. } = details;
    let (name, job_name) = (shown(&task.name), shown(&details.job_name));
    let (state, since) = (task.status.word(), local(&details.updated));
    let mut text = format!("task {} ({name}) of job {job} ({job_name}), {state} since {since}\n", task.id);
    for reason in &details.why {
        let _ = writeln!(text, "  {}", shown(reason));
    }
    text
}

async fn log(args: FlamencoLog) -> Result<u8, CommandFailure> {
    let mut printed = Ok(());
    let print = |piece: &[u8]| {
        let mut out = std::io::stdout().lock();
        printed = out.write_all(piece).and_then(|()| out.flush());
        // A reader that has closed the pipe ends the transfer.
        printed.is_ok()
    };
    server_choice::server(&args.at)?.text(&["flamenco", "tasks", &args.task, "log"], print).await?;
    written(printed).map(|()| OK)
}

async fn requeue(args: FlamencoRequeue) -> Result<u8, CommandFailure> {
    let path = ["flamenco", "requeue", &args.id];
    let answer: RequeuedTasks =
        server_choice::server(&args.at)?.post(&path, &BTreeMap::<String, String>::new()).await?;
    if args.json {
        json(&answer)?;
    } else {
        print(&format!("tasks requeued: {}\n", answer.requeued))?;
    }
    Ok(OK)
}

async fn workers(args: FlamencoWorkers) -> Result<u8, CommandFailure> {
    let answer: FarmWorkerList = server_choice::server(&args.at)?.get(&["flamenco", "workers"], &[]).await?;
    if args.json {
        json(&answer)?;
    } else {
        let rows: Vec<_> = answer.workers.iter().map(worker_row).collect();
        print(&table(["ID", "NAME", "STATE", "REQUESTED", "TASK", "LAST CONTACT", "ADDRESS", "TYPES"], &rows))?;
    }
    Ok(OK)
}

async fn command(command: FarmWorkerCommand, args: FlamencoCommand) -> Result<u8, CommandFailure> {
    // The server answers for each worker, so that one that is gone does not keep the others from their command.
    let order = FarmWorkerOrder { workers: args.workers, command, now: args.now };
    let answer: OrderedWorkers = server_choice::server(&args.at)?.post(&["flamenco", "workers", "act"], &order).await?;
    if args.json {
        json(&answer)?;
    } else {
        let done = if command == FarmWorkerCommand::Forget { "removed" } else { "requested" };
        let lines: String = answer.done.iter().map(|worker| format!("worker {worker}: {done}\n")).collect();
        print(&lines)?;
    }
    for worker in &answer.unknown {
        say(format_args!("there is no Flamenco worker {worker}"));
    }
    Ok(if answer.unknown.is_empty() { OK } else { FAILURE })
}

fn worker_row(worker: &FarmWorkerInfo) -> [String; 8] {
    let requested = worker.status_requested.map(|status| match worker.is_lazy {
        true => format!("{} after its task", status.word()),
        false => status.word().to_owned(),
    });
    // The word of the wire is empty, which looks like a mistake in a table.
    let state = match worker.status {
        FarmWorkerStatus::Registered => "registered",
        status => status.word(),
    };
    [
        worker.id.to_string(),
        shown(&worker.nickname),
        state.to_owned(),
        or_dash(requested),
        or_dash(worker.task.map(|task| task.to_string())),
        local(&worker.last_contact),
        worker.address.clone(),
        shown(&worker.task_types.join(" ")),
    ]
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
