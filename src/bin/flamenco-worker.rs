//! `flamenco-worker`: the worker of Flamenco Managers and its options.

use std::process::ExitCode;

use jobrunner::cli::FlamencoCommandLine;

fn main() -> ExitCode {
    // A shim must be entered before anything else: it has no settings, no threads and no runtime. So must the program that
    // executes the steps of a task.
    jobrunner::execution::shim::enter_if_called();
    jobrunner::execution::steps::enter_if_called();
    ExitCode::from(jobrunner::daemon::main(FlamencoCommandLine::of_process().map(FlamencoCommandLine::options)))
}
