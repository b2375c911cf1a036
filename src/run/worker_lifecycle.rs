//! Lifecycle of a worker: the state machine that owns the worker's state from its start to its exit, with the commands
//! sleep, wake, restart and shutdown and the drain in between.
//!
//! A command is carried out once: a repetition changes nothing, and one that is done is remembered as done across
//! restarts. A worker that is to leave or to sleep takes no new runs from that moment; the command is done when nothing
//! is under way. Until then a later command may replace it. A drain, which the daemon starts, cannot be taken back.

use super::{Pace, RequestId, WorkerCommand, WorkerRequest, WorkerState};

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

/// Goal of the worker, as the latest command or the daemon set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Aim {
    /// Take and execute runs.
    Work,
    /// Take no new runs until a command or an operator wakes the worker.
    Sleep,
    /// Leave on command, as soon as nothing is under way.
    Leave(Leave),
    /// The command to leave is done, and no input but `HasLeft` changes anything.
    Left(Leave),
    /// Drain for the daemon, which exits afterwards.
    Drain,
    /// Drained; commands are still remembered for the next start.
    Drained,
    /// Only the last status report remains.
    Offline,
}

/// Runs of the last process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Leftovers {
    /// Some may still have to be taken up, so that the worker is not known to be idle.
    Unaccounted,
    /// Every one was taken up, or is gone.
    Accounted,
}

/// Runs and kills under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Activity {
    /// Neither a run nor a kill is under way.
    Idle,
    /// At least one is under way.
    Busy,
}

/// Permission to claim runs, as it follows from the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Claims {
    /// Announced and listed runs are claimed.
    Allowed,
    /// No run is claimed: the worker sleeps or leaves, which a later command may change.
    Paused,
    /// No run is claimed until the process ends.
    Closed,
}

/// State of the machine: the goal, what is under way, the facts on disk, and the command that is being carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    aim: Aim,
    leftovers: Leftovers,
    activity: Activity,
    remembered: Remembered,
    follows: Option<WorkerRequest>,
}

/// Input of the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The server sent a command.
    Commanded(WorkerRequest),
    /// An operator on this machine asks the worker to sleep.
    Sleep,
    /// An operator on this machine asks the worker to wake.
    Wake,
    /// All runs of the last process are accounted for.
    LeftoversAccounted,
    /// A run or a kill is under way.
    Busy,
    /// No run and no kill is under way any more.
    Idle,
    /// The daemon asks the worker to take no new runs until it exits.
    Drain,
    /// The worker has left, as far as runs are concerned.
    HasLeft,
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
    /// Tell whoever waits for it that the worker is drained.
    Drained,
}

impl Lifecycle {
    /// Continues where the last process stopped: asleep or awake.
    #[must_use]
    pub fn new(remembered: Remembered) -> Self {
        let aim = if remembered.asleep { Aim::Sleep } else { Aim::Work };
        Self { aim, leftovers: Leftovers::Unaccounted, activity: Activity::Idle, remembered, follows: None }
    }

    /// Returns the state of the worker, as its status report gives it.
    #[must_use]
    pub fn state(&self) -> WorkerState {
        match (self.aim, self.leftovers, self.activity) {
            (Aim::Work, Leftovers::Unaccounted, _) => WorkerState::Starting,
            (Aim::Work, Leftovers::Accounted, _) => WorkerState::Awake,
            (Aim::Sleep, _, Activity::Idle) => WorkerState::Asleep,
            (Aim::Sleep, _, Activity::Busy) | (Aim::Leave(_) | Aim::Left(_) | Aim::Drain | Aim::Drained, _, _) => {
                WorkerState::Draining
            }
            (Aim::Offline, _, _) => WorkerState::Offline,
        }
    }

    /// Returns whether runs are claimed.
    #[must_use]
    pub fn claims(&self) -> Claims {
        match self.aim {
            Aim::Work => Claims::Allowed,
            Aim::Sleep | Aim::Leave(_) => Claims::Paused,
            Aim::Left(_) | Aim::Drain | Aim::Drained | Aim::Offline => Claims::Closed,
        }
    }

    /// Returns whether the worker leaves or is about to, so that an operator can no longer make it sleep or wake.
    #[must_use]
    pub fn leaves(&self) -> bool {
        match self.aim {
            Aim::Work | Aim::Sleep => false,
            Aim::Leave(_) | Aim::Left(_) | Aim::Drain | Aim::Drained | Aim::Offline => true,
        }
    }

    /// Returns how the process is to exit now, once a command to leave is done.
    #[must_use]
    pub fn exit(&self) -> Option<Leave> {
        match self.aim {
            Aim::Left(leave) => Some(leave),
            Aim::Work | Aim::Sleep | Aim::Leave(_) | Aim::Drain | Aim::Drained | Aim::Offline => None,
        }
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
        use {Aim as A, Input as I};
        match (self.aim, input) {
            // The next start gets a command that comes this late.
            (
                A::Offline,
                I::Commanded(_)
                | I::Sleep
                | I::Wake
                | I::LeftoversAccounted
                | I::Busy
                | I::Idle
                | I::Drain
                | I::HasLeft,
            )
            | (A::Left(_), I::Commanded(_) | I::Sleep | I::Wake | I::Drain) => &[],
            (A::Work | A::Sleep | A::Leave(_) | A::Left(_) | A::Drain | A::Drained, I::HasLeft) => {
                self.aim = A::Offline;
                &[]
            }
            (A::Work | A::Sleep | A::Leave(_) | A::Left(_) | A::Drain | A::Drained, I::LeftoversAccounted) => {
                self.leftovers = Leftovers::Accounted;
                &[]
            }
            (A::Work | A::Sleep | A::Leave(_) | A::Left(_) | A::Drain | A::Drained, I::Busy) => {
                self.activity = Activity::Busy;
                &[]
            }
            (A::Work | A::Sleep | A::Leave(_) | A::Left(_) | A::Drain | A::Drained, I::Idle) => self.idle(),
            (A::Work | A::Sleep | A::Leave(_) | A::Drain | A::Drained, I::Commanded(request)) => self.command(request),
            // The later request wins: the command that was being carried out counts as done.
            (A::Work | A::Sleep, I::Sleep) => {
                self.done();
                self.sleep_from_now()
            }
            (A::Work | A::Sleep, I::Wake) => {
                self.done();
                self.wake()
            }
            // A departure is not cancelled on this machine.
            (A::Leave(_) | A::Drain | A::Drained, I::Sleep | I::Wake) | (A::Drain | A::Drained, I::Drain) => &[],
            (A::Work | A::Sleep | A::Leave(_), I::Drain) => {
                self.aim = A::Drain;
                &[Effect::ForgetHints]
            }
        }
    }

    /// Notes that nothing is under way, which completes a command or a drain.
    fn idle(&mut self) -> &'static [Effect] {
        self.activity = Activity::Idle;
        // Runs of the last process that are yet to be taken up belong to what the command is about.
        let is_done = self.leftovers == Leftovers::Accounted && self.done();
        match (self.aim, is_done) {
            (Aim::Leave(leave), true) => {
                self.aim = Aim::Left(leave);
                &[Effect::Remember, Effect::Drained]
            }
            (Aim::Drain, is_done) => {
                self.aim = Aim::Drained;
                // A drain does not wait for the leftovers: the next start takes them up.
                if is_done { &[Effect::Remember, Effect::Drained] } else { &[Effect::Drained] }
            }
            (Aim::Work | Aim::Sleep | Aim::Left(_) | Aim::Drained | Aim::Offline, true) => &[Effect::Remember],
            (Aim::Work | Aim::Sleep | Aim::Leave(_) | Aim::Left(_) | Aim::Drained | Aim::Offline, false) => &[],
        }
    }

    /// Begins to carry out a command, unless it is a repetition.
    fn command(&mut self, request: WorkerRequest) -> &'static [Effect] {
        if self.remembered.done == Some(request.id) || self.follows() == Some(request.id) {
            return &[];
        }
        self.follows = Some(request);
        match (request.action, request.pace) {
            // Nothing has to end before a worker is awake, so the command is done at once.
            (WorkerCommand::Wake, _) => {
                self.done();
                self.wake()
            }
            (WorkerCommand::Sleep, Pace::AfterRuns) => self.sleep_from_now(),
            (WorkerCommand::Sleep, Pace::Now) => {
                self.sleep_from_now();
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
        self.aim_at(Aim::Work);
        self.remembered.asleep = false;
        &[Effect::Remember]
    }

    fn sleep_from_now(&mut self) -> &'static [Effect] {
        self.aim_at(Aim::Sleep);
        self.remembered.asleep = true;
        &[Effect::ForgetHints, Effect::Remember]
    }

    fn leave(&mut self, leave: Leave, pace: Pace) -> &'static [Effect] {
        self.aim_at(Aim::Leave(leave));
        // Not remembered before it is done: a worker that dies before it has left gets the command again.
        match pace {
            Pace::AfterRuns => &[Effect::ForgetHints],
            Pace::Now => &[Effect::ForgetHints, Effect::GiveBack],
        }
    }

    /// Sets the goal of a command. A drain goes on: what was commanded during it counts from the next start on.
    fn aim_at(&mut self, aim: Aim) {
        match self.aim {
            Aim::Work | Aim::Sleep | Aim::Leave(_) => self.aim = aim,
            Aim::Left(_) | Aim::Drain | Aim::Drained | Aim::Offline => {}
        }
    }
}
