//! How the command ends, and what it says of that.

use std::error::Error;
use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};

/// Done.
pub const OK: u8 = 0;
/// The server refuses it, or the system what every program needs.
pub const FAILURE: u8 = 1;
/// The command line cannot be understood.
pub const USAGE: u8 = 2;
/// A script or file that is named cannot be read (`EX_NOINPUT`).
pub const NO_INPUT: u8 = 66;
/// There is no server, or it does not answer (`EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// A directory or file cannot be made or used (`EX_CANTCREAT`).
pub const CANNOT_CREATE: u8 = 73;
/// What was asked for cannot be written to stdout (`EX_IOERR`).
pub const OUTPUT: u8 = 74;
/// Another server has the data directory (`EX_TEMPFAIL`).
pub const TEMPORARY: u8 = 75;
/// The answer is not one of a Job-Runner server (`EX_PROTOCOL`).
pub const PROTOCOL: u8 = 76;
/// The token is missing or wrong (`EX_NOPERM`).
pub const NO_PERMISSION: u8 = 77;
/// The run took too long, as `timeout(1)` says it.
pub const TIMED_OUT: u8 = 124;
/// What is added to the number of a signal, as shells do.
pub const BY_SIGNAL: u8 = 128;

/// Why it ends.
#[derive(Debug)]
pub struct CommandFailure {
    /// The exit code.
    pub code: u8,
    /// One line.
    pub message: String,
}

impl CommandFailure {
    /// An end with these words.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// An end by an error.
    pub fn of(code: u8, error: &dyn Error) -> Self {
        Self::new(code, with_causes(error))
    }
}

/// An error with its causes, in one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}

/// Says something on stderr; where nobody listens, nothing is lost.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "job_runner: {line}");
}

/// Prints the answer to a command on stdout. A reader that has closed the other end has seen enough.
///
/// # Errors
/// Any other reason why it cannot be written: a full disk, a closed stdout.
pub fn print(text: &str) -> Result<(), CommandFailure> {
    let mut out = io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Judges a write to stdout.
///
/// # Errors
/// That it failed, unless nobody reads any more.
pub fn written(write: io::Result<()>) -> Result<(), CommandFailure> {
    match write {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandFailure::new(OUTPUT, format!("the output cannot be written: {e}")))
        }
        _ => Ok(()),
    }
}
