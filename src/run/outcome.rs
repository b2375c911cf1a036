//! Outcomes: how a run ended, and the note about it at the end of the log.

use std::fmt::Write as _;

/// Exit of the main process of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessExit {
    /// Exit status, 0 to 255.
    Code(i32),
    /// Number of the signal that ended the process.
    Signal(i32),
}

/// Reason for stopping a run before its script ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A kill request was made for the run.
    Killed,
    /// The run exceeded its time limit.
    TimedOut,
    /// The worker was commanded to leave without waiting.
    Interrupted,
    /// The server says that the run does not belong to this worker, or no longer does.
    NotOurs,
    /// The worker was commanded to give its runs back: another worker executes the run from the beginning, and this
    /// execution counts neither as success nor as failure.
    GivenBack,
}

impl Cause {
    /// Returns the word for log fields.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
            Self::NotOurs => "not_ours",
            Self::GivenBack => "given_back",
        }
    }
}

/// Processes of the run that outlived its main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// No process was left.
    Nobody,
    /// Processes were left running.
    Kept,
    /// Processes were left running and then stopped by the worker.
    Stopped,
}

/// Outcome of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The script was executed.
    Ran {
        /// Exit of the main process.
        exit: ProcessExit,
        /// Reason for stopping the run; `None` where the script ended by itself.
        cause: Option<Cause>,
        /// Processes that outlived the main process.
        left: Left,
    },
    /// No script could be started, for this reason, which is one sentence.
    Unstartable(String),
    /// The run was stopped before its script was started.
    Cancelled(Cause),
    /// The shim died before the end; so many executions were lost by now.
    Lost(u32),
}

impl Outcome {
    /// Returns whether the run succeeded: its script ended by itself with status 0.
    #[must_use]
    pub fn success(&self) -> bool {
        matches!(self, Self::Ran { exit: ProcessExit::Code(0), cause: None, .. })
    }

    /// Returns the word for log fields: the cause of a stopped run, otherwise how the run ended.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ran { cause: Some(cause), .. } | Self::Cancelled(cause) => cause.word(),
            Self::Ran { exit: ProcessExit::Code(0), cause: None, .. } => "succeeded",
            Self::Ran { cause: None, .. } => "failed",
            Self::Unstartable(_) => "not_started",
            Self::Lost(_) => "lost",
        }
    }

    /// Returns the exit status of the main process; `None` if a signal ended it or it was not started.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Ran { exit: ProcessExit::Code(code), .. } => Some(*code),
            _ => None,
        }
    }

    /// Returns the number of the signal that ended the main process.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match self {
            Self::Ran { exit: ProcessExit::Signal(signal), .. } => Some(*signal),
            _ => None,
        }
    }

    /// Returns whether the run is given back without a result: it was stopped for that, and no process of it is alive.
    #[must_use]
    pub fn is_given_back(&self) -> bool {
        matches!(self, Self::Ran { cause: Some(Cause::GivenBack), .. } | Self::Cancelled(Cause::GivenBack))
    }

    /// Returns the lines that the log carries after the script's output. They are empty for a script that ended by
    /// itself and left no process, so that its log is the script's output to the byte.
    #[must_use]
    pub fn note(&self) -> String {
        const WE: &str = "[job runner worker]";
        let mut note = String::new();
        match self {
            Self::Ran { exit, cause, left } => {
                // With a cause the signal is not mentioned: it is the one by which the run was stopped.
                if let Some(cause) = cause {
                    let _ = writeln!(note, "{WE} The job was stopped: {}.", why(*cause));
                } else if let ProcessExit::Signal(signal) = exit {
                    let _ = writeln!(note, "{WE} The job was ended by signal {signal} ({}).", signal_name(*signal));
                }
                match left {
                    Left::Nobody => {}
                    Left::Kept => {
                        let _ = writeln!(note, "{WE} Processes that the job started were left running.");
                    }
                    Left::Stopped => {
                        let _ = writeln!(note, "{WE} Processes that the job left running were stopped.");
                    }
                }
            }
            Self::Unstartable(reason) => {
                let _ = write!(note, "{WE} Could not execute job: {reason}");
            }
            Self::Cancelled(cause) => {
                let _ = write!(note, "{WE} Could not execute job: it was stopped before its start: {}.", why(*cause));
            }
            Self::Lost(times) => {
                let _ = writeln!(
                    note,
                    "{WE} The run was lost {times} time{}: its supervising process died.",
                    if *times == 1 { "" } else { "s" }
                );
            }
        }
        note
    }
}

fn why(cause: Cause) -> &'static str {
    match cause {
        Cause::Killed => "it was killed at the server's request",
        Cause::TimedOut => "it ran longer than its time limit allows",
        Cause::Interrupted => "the worker was told to stop without waiting",
        Cause::NotOurs => "the server says that the run belongs to another worker",
        Cause::GivenBack => "it is given back, for another worker to run it",
    }
}

/// Names of the signals 1 to 31 as Linux numbers them, without `SIG`.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];
/// First and last real-time signal that a program may use; glibc keeps 32 and 33 for itself. They are shown as a
/// distance from `SIGRTMIN`.
const REAL_TIME: (i32, i32) = (34, 64);

/// Returns the name of a signal, or `unnamed` for a number that Linux does not use.
fn signal_name(signal: i32) -> String {
    let index = usize::try_from(signal).ok().and_then(|number| number.checked_sub(1));
    match (index.and_then(|index| SIGNALS.get(index)), REAL_TIME) {
        (Some(name), _) => format!("SIG{name}"),
        (None, (first, _)) if signal == first => "SIGRTMIN".to_owned(),
        (None, (first, last)) if (first..=last).contains(&signal) => format!("SIGRTMIN+{}", signal - first),
        _ => "unnamed".to_owned(),
    }
}

#[cfg(test)]
mod tests;
