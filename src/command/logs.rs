//! `job_runner logs`: prints the log of a run, or follows it.

use std::io::Write;

use super::args::LogsArgs;
use super::client::OperatorClient;
use super::exit::{CommandFailure, FAILURE, OK, written};
use super::server_choice;
use super::watch::{Watch, WatchEvent};
use crate::wire::operator::{RunInfo, RunList};
use crate::wire::reference::Reference;

pub async fn run(args: LogsArgs) -> Result<u8, CommandFailure> {
    let client = server_choice::server(&args.at)?;
    let run = find_run(&client, &args).await?;
    if !args.follow {
        let mut printed = Ok(());
        let print = |piece: &[u8]| {
            let mut out = std::io::stdout().lock();
            printed = out.write_all(piece).and_then(|()| out.flush());
            // A reader that has closed the pipe ends the transfer.
            printed.is_ok()
        };
        client.text(&["runs", &run.to_string(), "log"], print).await?;
        return written(printed).map(|()| OK);
    }
    let mut watch = Watch::new(client, run);
    loop {
        match watch.next().await? {
            WatchEvent::Run(run) if !run.state.is_over() => watch.print_wait_reason(&run),
            WatchEvent::Log => {}
            WatchEvent::Run(_) | WatchEvent::Closed => return watch.end_with(OK),
        }
    }
}

/// Resolves the run of an id, or the latest run of a job with that title. A number is a run if there is one: a user who
/// was given a run's id reads its log, whatever jobs are called.
async fn find_run(client: &OperatorClient, args: &LogsArgs) -> Result<i64, CommandFailure> {
    let name = args.run.as_str();
    match Reference::parse(name) {
        Reference::Id(run) => return Ok(run),
        Reference::Number(run) => match client.get::<RunInfo>(&["runs", name], &[]).await {
            // Only a refusal means that there is no such run; a server out of service says nothing about it.
            Err(failure) if failure.code == FAILURE => {
                let titled = latest_run(client, args).await.ok().flatten();
                return titled.filter(|found| found.title == name).map(|found| found.id).ok_or(failure);
            }
            found => return found.map(|_| run),
        },
        Reference::Title(_) => {}
    }
    let none = || CommandFailure::new(FAILURE, format!("no run of {name} has begun yet"));
    latest_run(client, args).await?.map(|run| run.id).ok_or_else(none)
}

/// Returns the latest run of a job that has begun or, if it is to be followed, is due: one that was just requested may
/// still wait.
async fn latest_run(client: &OperatorClient, args: &LogsArgs) -> Result<Option<RunInfo>, CommandFailure> {
    let which = if args.follow { "due" } else { "begun" };
    let runs: RunList = client.get(&["runs"], &[("job", &args.run), (which, "true"), ("limit", "1")]).await?;
    Ok(runs.runs.into_iter().next())
}
