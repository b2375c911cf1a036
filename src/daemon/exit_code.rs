//! Exit codes of the daemons, as the documentation lists them.

/// Exit code: drained, nothing is under way.
pub const EXIT_DRAINED: u8 = 0;
/// Exit code: left at once, or could not continue.
pub const EXIT_FAILURE: u8 = 1;
/// Exit code: a directory or file that is needed cannot be used (`EX_CANTCREAT`).
pub const EXIT_CANNOT_CREATE: u8 = 73;
/// Exit code: the requested output cannot be written to stdout (`EX_IOERR`).
pub const EXIT_OUTPUT: u8 = 74;
/// Exit code: another worker holds the state directory, or this one handed over (`EX_TEMPFAIL`).
pub const EXIT_TEMPORARY: u8 = 75;
/// Exit code: the service refuses the worker for good (`EX_NOPERM`).
pub const EXIT_REFUSED: u8 = 77;
/// Exit code: the configuration is wrong (`EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;
