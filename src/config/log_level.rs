//! Log levels: those of Python's logging module, with the names that a configuration may use for them.

/// The least severe kind of line that the worker or the server logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogLevel {
    /// Everything, also each order and each call.
    Debug,
    /// The normal course: starts, runs, connections.
    Info,
    /// What may need a look.
    Warning,
    /// What went wrong.
    Error,
    /// What stops the program.
    Critical,
}

/// The texts of the key `log_level`.
pub(super) const LOG_LEVELS: &[(&str, LogLevel)] = &[
    ("debug", LogLevel::Debug),
    ("info", LogLevel::Info),
    ("warning", LogLevel::Warning),
    ("error", LogLevel::Error),
    ("critical", LogLevel::Critical),
    // The other names that Python's logging module has for them.
    ("warn", LogLevel::Warning),
    ("fatal", LogLevel::Critical),
    ("notset", LogLevel::Debug),
];
