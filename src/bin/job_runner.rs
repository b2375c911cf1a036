//! `job_runner`: the server and the operator's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A shim must be entered before anything else: it has no settings, no threads and no runtime.
    jobrunner::execution::shim::enter_if_called();
    ExitCode::from(jobrunner::command::main())
}
