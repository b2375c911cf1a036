//! Orders: the messages that a source receives from the server. An order is only a hint: the run or kill request that
//! it names is read from the server before anything happens.

use super::{KillId, RunId};

/// Message from the server to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// A run is due and may be claimed.
    Enqueue(RunId),
    /// A kill request was made for a run.
    Kill(KillId),
    /// The server checks that the worker is alive; a status report is the answer.
    Ping,
    /// A command waits for the worker; the answer to its next status report contains it.
    Attend,
}

impl Order {
    /// Returns the word for log fields, which is the action on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Enqueue(_) => "enqueue",
            Self::Kill(_) => "kill",
            Self::Ping => "ping",
            Self::Attend => "attend",
        }
    }

    /// Returns the run that the order names.
    #[must_use]
    pub fn run(self) -> Option<RunId> {
        match self {
            Self::Enqueue(run) => Some(run),
            Self::Kill(_) | Self::Ping | Self::Attend => None,
        }
    }

    /// Returns the kill request that the order names.
    #[must_use]
    pub fn kill(self) -> Option<KillId> {
        match self {
            Self::Kill(kill) => Some(kill),
            Self::Enqueue(_) | Self::Ping | Self::Attend => None,
        }
    }
}
