//! Exit codes, messages and output of the commands.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write as _};

use crate::run::chain_of;

/// Exit code: the command succeeded.
pub const OK: u8 = 0;
/// Exit code: the server refused the request, or the system lacks what every program needs.
pub const FAILURE: u8 = 1;
/// Exit code: the command line cannot be parsed.
pub const USAGE: u8 = 2;
/// Exit code: a script or file that is named cannot be read (`EX_NOINPUT`).
pub const NO_INPUT: u8 = 66;
/// Exit code: there is no server, or it does not answer (`EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// Exit code: a directory or file cannot be created or used (`EX_CANTCREAT`).
pub const CANNOT_CREATE: u8 = 73;
/// Exit code: the answer cannot be written to stdout (`EX_IOERR`).
pub const OUTPUT: u8 = 74;
/// Exit code: another server holds the data directory (`EX_TEMPFAIL`).
pub const TEMPORARY: u8 = 75;
/// Exit code: the answer is not one of a Job-Runner server (`EX_PROTOCOL`).
pub const PROTOCOL: u8 = 76;
/// Exit code: the token is missing or wrong (`EX_NOPERM`).
pub const NO_PERMISSION: u8 = 77;
/// Exit code: the run took too long, as with `timeout(1)`.
pub const TIMED_OUT: u8 = 124;
/// Added to the number of a signal for an exit code, as shells do.
pub const BY_SIGNAL: u8 = 128;

/// Failure that ends a command.
#[derive(Debug)]
pub struct CommandFailure {
    /// Exit code of the process.
    pub code: u8,
    /// Message for stderr, on one line.
    pub message: String,
}

impl CommandFailure {
    /// Creates a failure from an exit code and a message.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Creates a failure from an error and its causes.
    pub fn of(code: u8, error: &dyn Error) -> Self {
        Self::new(code, chain_of(error))
    }
}

/// Writes a line to stderr, ignoring errors.
pub fn say(line: impl Display) {
    // A closed stderr must not change the exit code, and `eprintln!` would panic.
    let _ = writeln!(std::io::stderr().lock(), "job_runner: {line}");
}

/// Prints the answer to a command on stdout. A reader that has closed the pipe has seen enough.
///
/// # Errors
/// If stdout cannot be written for any other reason, such as a full disk.
pub fn print(text: &str) -> Result<(), CommandFailure> {
    let mut out = io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Converts the result of a write to stdout.
///
/// # Errors
/// If the write failed, unless the reader has closed the pipe.
pub fn written(write: io::Result<()>) -> Result<(), CommandFailure> {
    match write {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandFailure::new(OUTPUT, format!("the output cannot be written: {e}")))
        }
        _ => Ok(()),
    }
}
