//! Lifecycle of a worker: the state machine for the commands sleep, wake, restart and shutdown.
//!
//! A command is carried out once: a repetition changes nothing, and one that is done is remembered as done across
//! restarts. A worker that is to leave or to sleep takes no new runs from that moment; the command is done when nothing
//! is under way. Until then a later command may replace it.

use super::{Pace, RequestId, WorkerCommand, WorkerRequest};

#[cfg(test)]
mod tests;

/// Manner of leaving that a command asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leave {
    /// Exit for good, with a status that does not ask for a restart.
    Shutdown,
    /// Exit with the exit code that makes the supervisor start the worker again.
    Restart,
}

/// Facts that a worker keeps on disk from one start to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Whether the worker sleeps.
    pub asleep: bool,
    /// Number of the last command that was carried out.
    pub done: Option<RequestId>,
}

/// Goal of the worker, as the latest command set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Aim {
    /// Take and execute runs.
    Work,
    /// Take no new runs.
    Sleep,
    /// Leave as soon as nothing is under way.
    Leave(Leave),
    /// Leave now; no input changes that any more.
    Left,
}

/// State of the machine: the goal, the facts on disk, and the command that is being carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    aim: Aim,
    remembered: Remembered,
    follows: Option<WorkerRequest>,
}

/// Input of the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The server sent a command.
    Asked(WorkerRequest),
    /// An operator on this machine asks the worker to sleep.
    Sleep,
    /// An operator on this machine asks the worker to wake.
    Wake,
    /// No run and no kill is under way any more.
    Idle,
}

/// Action of the caller, to be taken in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Forget the announced runs that wait for a slot.
    ForgetHints,
    /// Write [`Lifecycle::remembered`] to disk.
    Remember,
    /// Stop the runs under way and give them back.
    GiveBack,
    /// Exit in this manner.
    Leave(Leave),
}

impl Lifecycle {
    /// Continues where the last process stopped: asleep or awake.
    #[must_use]
    pub fn new(remembered: Remembered) -> Self {
        let aim = if remembered.asleep { Aim::Sleep } else { Aim::Work };
        Self { aim, remembered, follows: None }
    }

    /// Returns whether new runs are taken.
    #[must_use]
    pub fn takes_runs(&self) -> bool {
        self.aim == Aim::Work
    }

    /// Returns whether the worker leaves or is about to.
    #[must_use]
    pub fn leaves(&self) -> bool {
        matches!(self.aim, Aim::Leave(_) | Aim::Left)
    }

    /// Returns whether runs that turn out to be under way only now are stopped and given back too.
    #[must_use]
    pub fn gives_back(&self) -> bool {
        self.follows.is_some_and(|request| request.pace == Pace::Now)
    }

    /// Returns the facts to keep on disk.
    #[must_use]
    pub fn remembered(&self) -> Remembered {
        self.remembered
    }

    /// Returns the number of the command that is being carried out.
    #[must_use]
    pub fn follows(&self) -> Option<RequestId> {
        self.follows.map(|request| request.id)
    }

    /// Applies an input and returns the actions to take for it.
    pub fn step(&mut self, input: Input) -> &'static [Effect] {
        match (self.aim, input) {
            (Aim::Left, _) => &[],
            (_, Input::Asked(request)) if self.knows(request.id) => &[],
            (_, Input::Asked(request)) => self.follow(request),
            // The worker still leaves, but is to start asleep the next time.
            (Aim::Leave(_), Input::Sleep) => self.sleep_from_now(self.aim),
            // The later request wins: the command that was being carried out counts as done.
            (Aim::Work | Aim::Sleep, Input::Sleep) => {
                self.done();
                self.sleep_from_now(Aim::Sleep)
            }
            // Waking up does not cancel a departure that was commanded.
            (Aim::Leave(_), Input::Wake) => &[],
            (Aim::Work | Aim::Sleep, Input::Wake) => {
                self.done();
                self.wake()
            }
            (Aim::Work, Input::Idle) => &[],
            (Aim::Sleep, Input::Idle) => {
                if self.done() {
                    &[Effect::Remember]
                } else {
                    &[]
                }
            }
            (Aim::Leave(leave), Input::Idle) => {
                self.done();
                self.aim = Aim::Left;
                match leave {
                    Leave::Shutdown => &[Effect::Remember, Effect::Leave(Leave::Shutdown)],
                    Leave::Restart => &[Effect::Remember, Effect::Leave(Leave::Restart)],
                }
            }
        }
    }

    fn knows(&self, id: RequestId) -> bool {
        self.remembered.done == Some(id) || self.follows() == Some(id)
    }

    fn follow(&mut self, request: WorkerRequest) -> &'static [Effect] {
        self.follows = Some(request);
        match (request.action, request.pace) {
            // Nothing has to end before a worker is awake, so the command is done at once.
            (WorkerCommand::Wake, _) => {
                self.done();
                self.wake()
            }
            (WorkerCommand::Sleep, Pace::AfterRuns) => self.sleep_from_now(Aim::Sleep),
            (WorkerCommand::Sleep, Pace::Now) => {
                self.sleep_from_now(Aim::Sleep);
                &[Effect::ForgetHints, Effect::Remember, Effect::GiveBack]
            }
            (WorkerCommand::Shutdown, pace) => self.leave(Leave::Shutdown, pace),
            (WorkerCommand::Restart, pace) => self.leave(Leave::Restart, pace),
        }
    }

    /// Marks the command that is being carried out as done; false where there was none.
    fn done(&mut self) -> bool {
        let done = self.follows.take();
        self.remembered.done = done.map(|request| request.id).or(self.remembered.done);
        done.is_some()
    }

    fn wake(&mut self) -> &'static [Effect] {
        self.aim = Aim::Work;
        self.remembered.asleep = false;
        &[Effect::Remember]
    }

    fn sleep_from_now(&mut self, aim: Aim) -> &'static [Effect] {
        self.aim = aim;
        self.remembered.asleep = true;
        &[Effect::ForgetHints, Effect::Remember]
    }

    fn leave(&mut self, leave: Leave, pace: Pace) -> &'static [Effect] {
        self.aim = Aim::Leave(leave);
        // Not remembered before it is done: a worker that dies before it has left gets the command again.
        match pace {
            Pace::AfterRuns => &[Effect::ForgetHints],
            Pace::Now => &[Effect::ForgetHints, Effect::GiveBack],
        }
    }
}
