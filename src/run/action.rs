//! What a worker as a whole is asked to do, and what it says of itself.

use super::id::id;

id! {
    /// A request to a worker, as its server numbers it: no two of one worker have the same number.
    RequestId
}

/// What is asked of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkerCommand {
    /// To leave, and not to come back by itself.
    Shutdown,
    /// To leave in such a way that whoever started it starts it again.
    Restart,
    /// To take no new runs.
    Sleep,
    /// To take new runs.
    Wake,
}

/// What becomes of the runs under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pace {
    /// They finish first.
    AfterRuns,
    /// They are stopped and given back.
    Now,
}

/// A request to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkerRequest {
    /// Its number.
    pub id: RequestId,
    /// What is asked.
    pub action: WorkerCommand,
    /// What becomes of the runs under way.
    pub pace: Pace,
}

/// What a worker says that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkerState {
    /// It finds out what was left behind. New runs are taken already.
    Starting,
    /// It takes new runs.
    Awake,
    /// It takes no new runs, and has some.
    Draining,
    /// It takes no new runs, and has none.
    Asleep,
    /// It has left.
    Offline,
}

impl WorkerCommand {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Shutdown, Self::Restart, Self::Sleep, Self::Wake];

    /// Its name, on the wire, in the store and to people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Restart => "restart",
            Self::Sleep => "sleep",
            Self::Wake => "wake",
        }
    }

    /// The action of such a name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }
}

impl WorkerState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Starting, Self::Awake, Self::Draining, Self::Asleep, Self::Offline];

    /// Its name, on the wire, in the store and to people.
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

    /// The duty of such a name. What nobody knows is sleep: nothing is begun by mistake.
    #[must_use]
    pub fn named(word: &str) -> Self {
        Self::ALL.into_iter().find(|duty| duty.word() == word).unwrap_or(Self::Asleep)
    }
}
