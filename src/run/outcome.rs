//! How a run ended, and what is said about it.

use std::fmt::Write as _;

/// How the main process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessExit {
    /// With a status, 0 to 255.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

/// Why a run was stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked for it.
    Killed,
    /// It ran longer than it may.
    TimedOut,
    /// The worker was told to leave without waiting.
    Interrupted,
    /// The server says that the run is not ours (any more).
    NotOurs,
    /// The worker was told to give its runs back: another executes it from the beginning, and of this execution nothing is
    /// judged.
    GivenBack,
}

/// What outlived the main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nobody,
    /// Processes that were left alone.
    Kept,
    /// Processes that were stopped.
    Stopped,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its script ran.
    Ran {
        /// How the main process ended.
        exit: ProcessExit,
        /// Why it was stopped, if it was.
        cause: Option<Cause>,
        /// What outlived it.
        left: Left,
    },
    /// Nothing could be started; the reason is one clear sentence.
    Unstartable(String),
    /// It was stopped before anything started.
    Cancelled(Cause),
    /// Its supervisor died; how often that happened by now.
    Lost(u32),
}

impl Outcome {
    /// A run succeeded when its script ended by itself with status 0.
    #[must_use]
    pub fn success(&self) -> bool {
        matches!(self, Self::Ran { exit: ProcessExit::Code(0), cause: None, .. })
    }

    /// Whether the run is given back unjudged: stopped for that, with nothing of it left alive.
    #[must_use]
    pub fn is_given_back(&self) -> bool {
        matches!(self, Self::Ran { cause: Some(Cause::GivenBack), .. } | Self::Cancelled(Cause::GivenBack))
    }

    /// What the log says behind the script's output: nothing for a run that ended by itself and
    /// left nobody, so that a plain log is the script's output to the byte.
    #[must_use]
    pub fn note(&self) -> String {
        const WE: &str = "[job runner worker]";
        let mut note = String::new();
        match self {
            Self::Ran { exit, cause, left } => {
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

/// The names of the signals as Linux numbers them, from 1.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];
/// The first real-time signal that a program may use, and the last: they have a distance in the place of a name.
const REAL_TIME: (i32, i32) = (34, 64);

/// The name of a signal.
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
