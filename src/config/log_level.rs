//! Log levels: those of Python's logging module, with the names that a configuration may use for them.

/// Least severe level of the lines that the worker or the server logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogLevel {
    /// Every line, including each order and each call.
    Debug,
    /// Normal operation: starts, runs, connections.
    Info,
    /// Conditions that an operator should look at.
    Warning,
    /// Failures that an operator must act upon.
    Error,
    /// Failures that stop the program.
    Critical,
}

/// Values of the key `log_level`, with their levels.
pub(super) const LOG_LEVELS: &[(&str, LogLevel)] = &[
    ("debug", LogLevel::Debug),
    ("info", LogLevel::Info),
    ("warning", LogLevel::Warning),
    ("error", LogLevel::Error),
    ("critical", LogLevel::Critical),
    // Further names of these levels in Python's logging module.
    ("warn", LogLevel::Warning),
    ("fatal", LogLevel::Critical),
    ("notset", LogLevel::Debug),
];
