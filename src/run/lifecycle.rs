//! What a worker does when something is asked of it as a whole.
//!
//! A request is followed once: told again it changes nothing, and one that was done is known to be, also after a restart.
//! Who is to leave or to sleep takes no new runs from that moment; it has left or sleeps when nothing is under way. Until
//! then another request may take the place of the first.

use super::{Pace, RequestId, WorkerCommand, WorkerRequest};

#[cfg(test)]
mod tests;

/// How a worker leaves when it is asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leave {
    /// For good.
    Shutdown,
    /// To be started again.
    Restart,
}

/// What is remembered from one start to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Whether it sleeps.
    pub asleep: bool,
    /// The last request that was done.
    pub done: Option<RequestId>,
}

/// What it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Aim {
    /// To work.
    Work,
    /// To sleep.
    Sleep,
    /// To leave as soon as nothing is under way.
    Leave(Leave),
    /// It leaves.
    Left,
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    aim: Aim,
    remembered: Remembered,
    follows: Option<WorkerRequest>,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The server asks this of us.
    Asked(WorkerRequest),
    /// Somebody on this machine wants us to sleep.
    Sleep,
    /// Somebody on this machine wants us to wake up.
    Wake,
    /// Nothing is under way.
    Idle,
}

/// What is to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Forget the runs that wait for a seat.
    ForgetHints,
    /// Write down what is to be remembered.
    Remember,
    /// Stop the runs under way and give them back.
    GiveBack,
    /// Leave.
    Leave(Leave),
}

impl Lifecycle {
    /// As it was left.
    #[must_use]
    pub fn new(remembered: Remembered) -> Self {
        let aim = if remembered.asleep { Aim::Sleep } else { Aim::Work };
        Self { aim, remembered, follows: None }
    }

    /// Whether new runs are taken.
    #[must_use]
    pub fn takes_runs(&self) -> bool {
        self.aim == Aim::Work
    }

    /// Whether it leaves, or is about to.
    #[must_use]
    pub fn leaves(&self) -> bool {
        matches!(self.aim, Aim::Leave(_) | Aim::Left)
    }

    /// Whether what is found to be under way is stopped and given back, too.
    #[must_use]
    pub fn gives_back(&self) -> bool {
        self.follows.is_some_and(|request| request.pace == Pace::Now)
    }

    /// What is to be remembered.
    #[must_use]
    pub fn remembered(&self) -> Remembered {
        self.remembered
    }

    /// The request that is followed and not done.
    #[must_use]
    pub fn follows(&self) -> Option<RequestId> {
        self.follows.map(|request| request.id)
    }

    /// What becomes of it, and what is to be done.
    pub fn step(&mut self, input: Input) -> &'static [Effect] {
        match (self.aim, input) {
            (Aim::Left, _) => &[],
            (_, Input::Asked(request)) if self.knows(request.id) => &[],
            (_, Input::Asked(request)) => self.follow(request),
            // Who leaves remembers it for the next time.
            (Aim::Leave(_), Input::Sleep) => self.sleep_from_now(self.aim),
            // The later word counts: what was asked before is done with.
            (Aim::Work | Aim::Sleep, Input::Sleep) => {
                self.done();
                self.sleep_from_now(Aim::Sleep)
            }
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

    /// Whether there was something to be done with.
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
        match pace {
            Pace::AfterRuns => &[Effect::ForgetHints],
            Pace::Now => &[Effect::ForgetHints, Effect::GiveBack],
        }
    }
}
