//! The worker's program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: a shim has no settings, no threads and no runtime.
    jobrunner::execution::shim::enter_if_called();
    ExitCode::from(jobrunner::daemon::main(jobrunner::cli::WorkerCommandLine::of_process()))
}
