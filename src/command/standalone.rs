//! `job_runner standalone`: runs a server and a worker for this machine alone.

use chrono::Utc;

use super::args::Standalone as Args;
use super::embedded::{Embedded, WorkerOptions, url};
use super::exit::{CommandFailure, FAILURE, OK, print, say};
use super::signals::CommandSignals;
use super::{ports, worker, zone};
use crate::daemon::start_log;
use crate::server::Server;
use crate::server::domain::model::{Schedule, Unit};
use crate::server::domain::title::Title;
use crate::server::store::{EntityIds, EntityName, EntityNames, NewJob, NewRun, StoreError};
use crate::server::{self};
use crate::wire::operator::DEFAULT;

/// Content of a new data directory: an example job, so that the pages are not empty.
const PROJECT: &str = "example";
const TEMPLATE: &str = "shell";
const BODY: &str = "#!/bin/sh\nset -eu\n{{ content|safe }}\n";
const JOB: &str = "hello";
const SCRIPT: &str = "\
echo \"Hello from run $JOB_RUNNER_RUN_ID on $(uname -n)\"
for n in 1 2 3; do
    sleep 0.2
    echo \"line $n\"
done
date
";
/// Setting in the database that marks the example as created, so that it does not come back once it was removed.
const SEEDED: &str = "example_seeded";

pub async fn run(args: Args) -> Result<u8, CommandFailure> {
    // The worker runs any script it is given, and other machines could reach it without TLS.
    if !args.listen.ip().is_loopback() {
        let what = format!("--listen {}: standalone is for this machine alone; 127.0.0.1 is allowed", args.listen);
        return Err(CommandFailure::new(2, what));
    }
    start_log(args.log_format, args.log_level);
    let mut signals = CommandSignals::listen()
        .map_err(|e| CommandFailure::new(FAILURE, format!("cannot listen for signals: {e}")))?;
    // A copy is kept to tell afterwards which ports had to be changed.
    let settings = server::Settings {
        http: args.listen,
        time_zone: zone::of_machine(),
        ..server::Settings::new(args.data.clone())
    };
    let options = WorkerOptions { concurrent_jobs: args.concurrent_jobs, log_update_interval: "0.5" };
    let embedded = Embedded::start(settings.clone(), options).await?;
    for (wanted, got) in ports::replaced_ports(&settings, &embedded.server().app_state().settings) {
        say(format_args!("port {wanted} is taken; port {got} is used in its place"));
    }
    seed(embedded.server()).await.map_err(|e| CommandFailure::of(FAILURE, &e))?;
    announce(&args, embedded.server())?;
    run_until_stopped(embedded, &mut signals).await
}

fn announce(args: &Args, server: &Server) -> Result<(), CommandFailure> {
    if worker::is_readable_by_others() {
        say("the file that this is written to can be read by others, and gets the operator's token: chmod 600 it");
    }
    let (base, token) = (url(server)?, server.app_state().token.expose());
    print(&format!(
        "Job Runner works in {}. Its page:\n\n    {base}login?token={token}\n\n\
         In another terminal here: job_runner jobs, runs, logs, run SCRIPT, job add SCRIPT. Ctrl-C ends it.\n",
        args.data.display()
    ))
}

/// Adds the example job, which runs at once and every hour.
async fn seed(server: &Server) -> Result<(), StoreError> {
    let store = &server.app_state().store;
    if store.setting(SEEDED).await?.is_some() {
        return Ok(());
    }
    // The mark is written last: a start that failed in between tries again, rather than leave half an example.
    let project = EntityName::Default(Title::fixed(PROJECT));
    store.add_template(&project, Title::fixed(TEMPLATE), BODY).await?;
    let names = EntityNames {
        project,
        template: EntityName::Present(Title::fixed(TEMPLATE)),
        pool: EntityName::Default(Title::fixed(DEFAULT)),
    };
    let job = |place: EntityIds| NewJob {
        schedule: Schedule::Interval { every: 1, unit: Unit::Hour },
        ..NewJob::new(Title::fixed(JOB), place.template, place.pool, SCRIPT)
    };
    let job = store.add_job(&names, job).await?;
    store.new_run(&NewRun::due(job.id, Utc::now())).await?;
    store.set_setting(SEEDED, "yes").await
}

/// Waits until the worker was shut down or signals end the command: the first drains, the second stops the runs, the
/// third exits at once. Returns the exit code.
async fn run_until_stopped(embedded: Embedded, signals: &mut CommandSignals) -> Result<u8, CommandFailure> {
    tokio::select! {
        _ = signals.next() => {}
        _ = embedded.worker().asked_to_leave() => {
            say("the worker was shut down; the server stops too");
            embedded.stop().await;
            return Ok(OK);
        }
    }
    let runs = embedded.worker().status().await.intake.runs.len();
    say(format_args!("waiting for {runs} run(s) to end; the next signal kills them"));
    let drained = {
        let worker = embedded.worker();
        let drain = worker.drain();
        tokio::pin!(drain);
        let mut signals_received = 1;
        loop {
            tokio::select! {
                () = &mut drain => break true,
                _ = signals.next() => signals_received += 1,
            }
            match signals_received {
                2 => worker.stop_runs().await,
                // Runs that survive even the stop are left to the next start.
                3.. => break false,
                _ => {}
            }
        }
    };
    if drained {
        embedded.stop().await;
        return Ok(OK);
    }
    embedded.hand_over().await;
    Ok(FAILURE)
}
