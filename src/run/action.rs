//! Worker commands and worker states: the commands that a server sends to a worker as a whole, and the state that the
//! worker reports.

use super::id::id;

id! {
    /// Number that the server gives a command to a worker; unique among the commands of one worker.
    RequestId
}

/// Command to a worker as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkerCommand {
    /// Exits and is not started again.
    Shutdown,
    /// Exits with the exit code at which its supervisor starts the worker again.
    Restart,
    /// Takes no new runs until it is woken.
    Sleep,
    /// Takes new runs again.
    Wake,
}

/// Treatment of the runs under way when a worker sleeps or leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pace {
    /// Running scripts finish first.
    AfterRuns,
    /// Running scripts are stopped, and their runs are given back to the server.
    Now,
}

/// One command to one worker, as the server issued it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkerRequest {
    /// Number by which the worker reports the command as followed and as done.
    pub id: RequestId,
    /// Command to carry out.
    pub action: WorkerCommand,
    /// Treatment of the runs under way.
    pub pace: Pace,
}

/// State of a worker, as its status report gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkerState {
    /// Accounts for what the last process left behind; new runs are already taken.
    Starting,
    /// Takes new runs as they come.
    Awake,
    /// Takes no new runs, and some are still under way.
    Draining,
    /// Takes no new runs, and none is under way.
    Asleep,
    /// Has exited and answers nothing.
    Offline,
}

impl WorkerCommand {
    /// Every command, in the order of the declaration.
    pub const ALL: [Self; 4] = [Self::Shutdown, Self::Restart, Self::Sleep, Self::Wake];

    /// Returns the name used on the wire, in the store and for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Restart => "restart",
            Self::Sleep => "sleep",
            Self::Wake => "wake",
        }
    }

    /// Returns the command with this name, or `None` for an unknown one.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }
}

impl Pace {
    /// Returns the word for log fields.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AfterRuns => "after_runs",
            Self::Now => "now",
        }
    }
}

impl WorkerState {
    /// Every state, in the order of the declaration.
    pub const ALL: [Self; 5] = [Self::Starting, Self::Awake, Self::Draining, Self::Asleep, Self::Offline];

    /// Returns the name used on the wire, in the store and for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Awake => "awake",
            Self::Draining => "draining",
            Self::Asleep => "asleep",
            Self::Offline => "offline",
        }
    }

    /// Returns the state with this name. An unknown name is read as [`Self::Asleep`], so that no run is started by
    /// mistake.
    #[must_use]
    pub fn named(word: &str) -> Self {
        Self::ALL.into_iter().find(|duty| duty.word() == word).unwrap_or(Self::Asleep)
    }
}
