//! `job_runner`: the operator's command line.
//!
//! `serve` is the server, `standalone` a server and a worker in one process, `run` runs a script and may start both for
//! that. `migrate` works on the stores of a server that is stopped. All other commands are requests to a running server over HTTP: one file each, besides the shared modules.
//!
//! Answers go to stdout, everything else to stderr; an error is one line. Exit codes follow `sysexits.h`.

mod args;
mod client;
mod disable;
mod embedded;
mod enable;
mod exit;
mod flamenco;
mod job;
mod jobs;
mod kill;
mod logs;
mod migrate;
mod paging;
mod ports;
mod run;
mod runs;
mod schedule;
mod script_file;
mod serve;
mod server_choice;
mod signals;
mod standalone;
mod table;
mod template;
mod temporary_directory;
mod watch;
mod why;
mod worker;
mod workers;
mod zone;

use std::future::Future;

use args::{Command, CommandLine};
use clap::Parser;
use exit::CommandFailure;

/// Carries out the command line of this process and returns the exit code.
#[must_use]
pub fn main() -> u8 {
    let args = match CommandLine::try_parse() {
        Ok(args) => args,
        Err(e) => return help_or_usage(&e),
    };
    let code = carry_out(args).unwrap_or_else(|failure| {
        exit::say(&failure.message);
        failure.code
    });
    // `serve` and `standalone` log through a thread of their own, whose lines must be out before the process exits.
    crate::daemon::flush_log();
    code
}

/// Prints the requested help, or the error in the command line.
fn help_or_usage(error: &clap::Error) -> u8 {
    match exit::written(error.print()) {
        Ok(()) => u8::try_from(error.exit_code()).unwrap_or(exit::USAGE),
        Err(failure) => {
            exit::say(&failure.message);
            failure.code
        }
    }
}

fn carry_out(args: CommandLine) -> Result<u8, CommandFailure> {
    match args.command {
        Command::Run(args) => on_runtime(run::run(args)),
        Command::Standalone(args) => on_runtime(standalone::run(args)),
        Command::Serve(args) => serve::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Jobs(args) => on_runtime(jobs::run(args)),
        Command::Runs(args) => on_runtime(runs::run(args)),
        Command::Workers(args) => on_runtime(workers::run(args)),
        Command::Logs(args) => on_runtime(logs::run(args)),
        Command::Kill(args) => on_runtime(kill::run(args)),
        Command::Schedule(args) => on_runtime(schedule::run(args)),
        Command::Enable(args) => on_runtime(enable::run(args)),
        Command::Disable(args) => on_runtime(disable::run(args)),
        Command::Why(args) => on_runtime(why::run(args)),
        Command::Job(args) => on_runtime(job::run(args)),
        Command::Template(args) => on_runtime(template::run(args)),
        Command::Flamenco(args) => on_runtime(flamenco::run(args)),
        Command::Worker(args) => on_runtime(worker::run(args)),
    }
}

/// Runs a command on a runtime of its own. Blocking calls that are still under way do not delay the exit.
fn on_runtime(work: impl Future<Output = Result<u8, CommandFailure>>) -> Result<u8, CommandFailure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime =
        runtime.map_err(|e| CommandFailure::new(exit::FAILURE, format!("the runtime cannot be started: {e}")))?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}
