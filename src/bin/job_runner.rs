//! The server and the operator's command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: a shim has no settings, no threads and no runtime.
    jobrunner::execution::shim::enter_if_called();
    ExitCode::from(jobrunner::command::main())
}
