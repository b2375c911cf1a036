//! `job_runner_worker`: the worker daemon and its options.

use std::process::ExitCode;

use jobrunner::cli::WorkerCommandLine;

fn main() -> ExitCode {
    // A shim must be entered before anything else: it has no settings, no threads and no runtime. So must the program that
    // executes the steps of a task.
    jobrunner::execution::shim::enter_if_called();
    jobrunner::execution::steps::enter_if_called();
    ExitCode::from(jobrunner::daemon::main(WorkerCommandLine::of_process().map(WorkerCommandLine::options)))
}
