//! One visible run: a small stand-in for the Job-Runner server, a worker, and a script whose log
//! arrives while it is written.
//!
//! ```text
//! cargo run --release --example demo
//! ```
//!
//! Called with arguments, this program is the worker itself, and so are its supervising processes:
//! it calls itself, and needs no other binary.

#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use support::{Options, Server, StepKind, WorkerOptions, WorkerProcess};

/// What is run. It takes its time, so that one can watch.
const SCRIPT: &str = "\
#!/bin/sh
echo \"I am run $JOB_RUNNER_RUN_ID, process $$\"
for n in 1 2 3; do
    sleep 0.5
    echo \"line $n\"
done
echo \"this one went to stderr\" >&2
";

fn main() -> ExitCode {
    jobrunner::execution::shim::enter_if_called();
    if std::env::args_os().len() > 1 {
        return ExitCode::from(jobrunner::daemon::main(&jobrunner::cli::Args::parse()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        tokio::select! {
            code = show() => code,
            // What was started ends with this value, and so does the folder it worked in.
            _ = tokio::signal::ctrl_c() => ExitCode::from(130),
        }
    })
}

async fn show() -> ExitCode {
    println(format_args!("A stand-in for the Job-Runner server, a worker, and one run of this script:\n"));
    SCRIPT.lines().for_each(|line| println(format_args!("    {line}")));
    println("");

    let story = Story::begin();
    let server = Server::start(Options::default()).await;
    story.tell("server", format_args!("listens on {}", server.api_base_url()));
    let this = std::env::current_exe().expect("a path of this program");
    let mut worker = WorkerProcess::start(&server, &WorkerOptions::new(this).set("log_update_interval", "0.1"));
    server.wait_up().await;
    story.tell("worker", format_args!("process {} has subscribed to orders", worker.id().unwrap_or_default()));

    let run = server.submit(SCRIPT);
    let announced = Instant::now();
    let since = |at: Instant| at.saturating_duration_since(announced).as_secs_f64() * 1000.0;
    story.tell("announced", format_args!("the server says that run {run} is due"));
    let claimed = at(&server, run, StepKind::Claim).await;
    story.tell("claimed", format_args!("the worker has a free seat and takes it, {:.1} ms later", since(claimed)));
    let started = at(&server, run, StepKind::Start).await;
    let pid = server.run(run).pid.unwrap_or_default();
    story.tell("started", format_args!("the script is process {pid}; the server knows after {:.1} ms", since(started)));

    let mut shown = 0;
    loop {
        let (log, over) = server
            .wait_for(
                |state| {
                    let run = state.run(run);
                    let (log, over) = (run.log_text(), run.return_dts.is_some());
                    (over || log.len() > shown).then(|| (log.to_owned(), over))
                },
                "more of the log, or the end of the run",
            )
            .await;
        log[shown..].lines().for_each(|line| story.tell("log", line));
        shown = log.len();
        if over {
            break;
        }
    }
    let row = server.run(run);
    let success = row.return_success == Some(true);
    story.tell("returned", if success { "with success" } else { "as failed" });

    worker.sigterm();
    let code = worker.wait_exit_within(Duration::from_secs(30)).await.code().unwrap_or(-1);
    let events: Vec<String> =
        server.events().iter().filter_map(|event| event.body["event"].as_str().map(str::to_owned)).collect();
    story.tell("events", events.join(", "));
    story.tell("stopped", format_args!("the worker got TERM, had nothing left to do, and left with {code}"));
    let well = success && code == 0 && row.check_whole_life().is_ok();
    if !well {
        println(format_args!("\nThat is not how it should be. The worker said:\n\n{}", worker.log()));
    }
    ExitCode::from(u8::from(!well))
}

/// When the server heard of a step of the run.
async fn at(server: &Server, run: i64, kind: StepKind) -> Instant {
    let find = |state: &support::State| state.run(run).steps.iter().find(|step| step.kind == kind).map(|step| step.at);
    server.wait_for(find, format!("{kind:?} of run {run}")).await
}

/// Tells what happens, with the time.
struct Story(Instant);

impl Story {
    fn begin() -> Self {
        Self(Instant::now())
    }

    fn tell(&self, what: &str, how: impl Display) {
        println(format_args!("{:7.3} s  {what:<9}  {how}", self.0.elapsed().as_secs_f64()));
    }
}

/// Nobody may be listening any more: that is no reason to leave things behind.
fn println(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
