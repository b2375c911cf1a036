//! `job_runner run`: runs a script at the configured server, or at one that is started for this run.

use super::args::RunArgs as Args;
use super::client::OperatorClient;
use super::embedded::{Embedded, WorkerOptions};
use super::exit::{BY_SIGNAL, CANNOT_CREATE, CommandFailure, FAILURE, OK, UNAVAILABLE, print, say};
use super::signals::CommandSignals;
use super::table::{between, shown};
use super::temporary_directory::TemporaryDirectory;
use super::watch::{Watch, WatchEvent, exit_code};
use super::{ports, script_file, server_choice};
use crate::server;
use crate::wire::operator::{RunInfo, RunStateName, ScheduleStop, Submit};

/// Settings of a worker that is started for this run: a short interval, so that the log appears as it is written.
const WORKER_OPTIONS: WorkerOptions = WorkerOptions { concurrent_jobs: 1, log_update_interval: "0.1" };

pub async fn run(args: Args) -> Result<u8, CommandFailure> {
    let title = script_file::title(args.name.as_deref(), &args.script);
    let submit =
        Submit { title, script: script_file::read(&args.script)?, timeout: args.timeout, pool: args.pool.clone() };
    let signals = CommandSignals::listen()
        .map_err(|e| CommandFailure::new(FAILURE, format!("cannot listen for signals: {e}")))?;
    match server_choice::configured(&args.at)? {
        Some(client) => run_at_server(&client, &submit, &args, signals).await,
        // An embedded server would stop together with the run that it was to keep.
        None if args.detach => {
            let what = "--detach needs a server that stays: start one with `job_runner standalone`";
            Err(CommandFailure::new(UNAVAILABLE, what))
        }
        None => run_embedded(&submit, &args, signals).await,
    }
}

/// Runs the script at a running server.
async fn run_at_server(
    client: &OperatorClient,
    submit: &Submit,
    args: &Args,
    mut signals: CommandSignals,
) -> Result<u8, CommandFailure> {
    let run: RunInfo = client.post(&["runs"], submit).await?;
    if args.detach {
        print(&format!("{}\n", run.id))?;
        return Ok(OK);
    }
    if !args.quiet {
        say(format_args!("run {} at {}", run.id, client.base()));
    }
    watch(client, run.id, args.quiet, &mut signals).await
}

/// Runs the script at a server and a worker that live as long as this command.
async fn run_embedded(submit: &Submit, args: &Args, mut signals: CommandSignals) -> Result<u8, CommandFailure> {
    let directory = TemporaryDirectory::new()
        .map_err(|e| CommandFailure::new(CANNOT_CREATE, format!("{}: {e}", std::env::temp_dir().display())))?;
    let settings = server::Settings {
        http: ports::FREE,
        broadcaster: ports::FREE,
        events: ports::FREE,
        ..server::Settings::new(directory.path().to_owned())
    };
    let embedded = Embedded::start(settings, WORKER_OPTIONS).await?;
    let client = embedded.client()?;
    let done = async {
        embedded.await_worker().await;
        let run: RunInfo = client.post(&["runs"], submit).await?;
        watch(&client, run.id, args.quiet, &mut signals).await
    };
    let done = done.await;
    // However it ended, nothing that was started for this command may go on.
    embedded.worker().stop_runs().await;
    embedded.worker().drain().await;
    embedded.stop().await;
    done
}

/// Prints the log of a run until the run has ended. A signal kills the run, a second one ends the command at once.
async fn watch(
    client: &OperatorClient,
    run: i64,
    quiet: bool,
    signals: &mut CommandSignals,
) -> Result<u8, CommandFailure> {
    let mut watch = Watch::new(client.clone(), run);
    let mut asked = None;
    loop {
        let seen = tokio::select! {
            seen = watch.next() => seen?,
            signal = signals.next() => {
                // The second signal ends the command even if the server does not answer; the exit code is that of the
                // first.
                if let Some(first) = asked.replace(signal) {
                    return Ok(BY_SIGNAL + first);
                }
                let _: ScheduleStop = client.post(&["runs", &run.to_string(), "kill"], &serde_json::json!({})).await?;
                continue;
            }
        };
        let WatchEvent::Run(run) = seen else { continue };
        if !run.state.is_over() {
            if !quiet {
                watch.print_wait_reason(&run);
            }
            continue;
        }
        if !quiet {
            run.late.iter().for_each(|late| say(shown(&late.text)));
            say(outcome(&run));
        }
        return watch.end_with(match asked {
            // Only a run that ended because of the signal counts as interrupted; one that had ended by itself keeps its
            // own code.
            Some(signal) if run.state == RunStateName::Killed => BY_SIGNAL + signal,
            _ => exit_code(&run),
        });
    }
}

/// Describes how a run ended, in one sentence.
fn outcome(run: &RunInfo) -> String {
    let how = match (run.state, run.exit_code, run.exit_signal) {
        (RunStateName::Failed, Some(code), _) => format!("failed with exit code {code}"),
        (RunStateName::Failed, None, Some(signal)) => format!("was ended by signal {signal}"),
        (RunStateName::TimedOut, ..) => "took too long and was killed".to_owned(),
        (RunStateName::Killed, ..) => "was killed".to_owned(),
        (RunStateName::Lost, ..) => "was lost with its worker".to_owned(),
        (state, ..) => state.word().to_owned(),
    };
    let took = between(run.started.as_deref(), run.ended.as_deref()).map(|took| format!(" after {took}"));
    format!("run {} ({}) {how}{}", run.id, shown(&run.title), took.unwrap_or_default())
}
