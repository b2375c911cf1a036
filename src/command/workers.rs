//! `job_runner workers`: lists the workers, or has them sleep, wake, restart or shut down.

use super::args::{CommandArgs, List, NamedWorkers, WakeArgs, WorkersArgs as Args, WorkersCommand};
use super::exit::{CommandFailure, FAILURE, OK, print, say};
use super::table::{json, local, or_dash, shown, table};
use super::{paging, server_choice};
use crate::wire::operator::{self, Acted, ActionName, CommandInfo, WorkerActed, WorkerInfo, WorkerList};

pub async fn run(args: Args) -> Result<u8, CommandFailure> {
    match args.command {
        None => list(args.list).await,
        Some(WorkersCommand::Shutdown(CommandArgs { now, on })) => request(ActionName::Shutdown, now, on).await,
        Some(WorkersCommand::Restart(CommandArgs { now, on })) => request(ActionName::Restart, now, on).await,
        Some(WorkersCommand::Sleep(CommandArgs { now, on })) => request(ActionName::Sleep, now, on).await,
        Some(WorkersCommand::Wake(WakeArgs { on })) => request(ActionName::Wake, false, on).await,
    }
}

async fn list(args: List) -> Result<u8, CommandFailure> {
    let answer: WorkerList = paging::read(&server_choice::server(&args.at)?, &[], args.limit).await?;
    if args.json {
        json(&answer)?;
    } else {
        let rows: Vec<_> = answer.workers.iter().map(row).collect();
        let headings =
            ["ID", "TITLE", "POOLS", "ENABLED", "STATE", "ANSWERED", "VERSION", "RUNS", "SLOTS", "OUTBOX", "REQUESTED"];
        print(&table(headings, &rows))?;
        for (worker, clock) in answer.workers.iter().filter_map(|worker| Some((worker, worker.clock.as_ref()?))) {
            say(format_args!("worker {}: {}", shown(&worker.title), shown(clock)));
        }
        for worker in answer.workers.iter().filter(|worker| !worker.held.is_empty()) {
            let why = worker.held.iter().map(|held| held.text.as_str()).collect::<Vec<_>>().join("; ");
            say(format_args!("worker {} claims no runs: {}", shown(&worker.title), shown(&why)));
        }
    }
    Ok(OK)
}

fn row(worker: &WorkerInfo) -> [String; 11] {
    // A request that was carried out is history and would be misread as pending.
    let request = worker.request.as_ref().filter(|request| request.is_open());
    [
        worker.id.to_string(),
        worker.title.clone(),
        worker.pools.join(", "),
        if worker.enabled { "yes" } else { "no" }.to_owned(),
        if worker.held.is_empty() { worker.state.word().to_owned() } else { format!("{}, held", worker.state.word()) },
        or_dash(worker.answered.as_deref().map(local)),
        or_dash(worker.version.clone()),
        worker.runs.to_string(),
        or_dash(slots(worker)),
        or_dash(worker.outbox.map(|outbox| outbox.to_string())),
        or_dash(request.map(requested)),
    ]
}

fn slots(worker: &WorkerInfo) -> Option<String> {
    let slots = worker.seats?;
    Some(worker.free.map_or_else(|| slots.to_string(), |free| format!("{free} of {slots} free")))
}

fn requested(request: &CommandInfo) -> String {
    format!("{} by {} at {}", command_words(request.action, request.now), request.by, local(&request.at))
}

fn command_words(action: ActionName, now: bool) -> String {
    if now { format!("{} now", action.word()) } else { action.word().to_owned() }
}

async fn request(action: ActionName, now: bool, on: NamedWorkers) -> Result<u8, CommandFailure> {
    let act = operator::ActionRequest { workers: on.workers, action, now, by: Some(user()), reason: on.reason };
    let acted: Acted = server_choice::server(&on.at)?.post(&["workers", "act"], &act).await?;
    if on.json {
        json(&acted)?;
    }
    let mut code = OK;
    for worker in acted.workers {
        match (&worker.error, on.json) {
            (Some(error), _) => {
                // The other workers are still reported: the request was made to each of them separately.
                code = FAILURE;
                say(shown(error));
            }
            (None, true) => {}
            (None, false) => print(&format!("{}\n", shown(&outcome(&worker, action, now))))?,
        }
    }
    Ok(code)
}

fn outcome(acted: &WorkerActed, action: ActionName, now: bool) -> String {
    let title = acted.worker.as_ref().map_or(&acted.named, |worker| &worker.title);
    let state = acted.worker.as_ref().map_or("", |worker| worker.state.word());
    let words = command_words(action, now);
    let open = acted.worker.as_ref().and_then(|worker| worker.request.as_ref()).filter(|request| request.is_open());
    match (acted.what.as_str(), open) {
        ("requested", _) => format!("worker {title} ({state}): {words} is requested"),
        ("cancelled", _) => format!("worker {title} is {state}: what was requested is taken back"),
        (_, Some(_)) => format!("worker {title} ({state}): {words} is requested already"),
        (_, None) => format!("worker {title} is {state} already"),
    }
}

/// Returns the user who types the command, for those who see the request.
fn user() -> String {
    std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "job_runner workers".to_owned())
}
