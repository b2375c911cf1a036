//! Plan of what a Flamenco Manager is told of a task, and when. Pure.
//!
//! The state at the Manager is told at once, the log and the activity while the task lasts only when enough is there or
//! when it is old. At the end the log goes in pieces, and the last piece has the state of the task with it, so that a task
//! is never over before its log is there.

use std::time::Duration;

use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// Bytes of log that are told at once while a task lasts.
pub(super) const MUCH: u64 = 256 * 1024;
/// Most bytes of log in one update.
pub(super) const PIECE: u64 = 1024 * 1024;
/// Shortest interval between two looks at the output of a task that lasts.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// Rejections in a row after which an update is given up.
pub(super) const REJECTIONS: u32 = 3;

/// Conditions under which log and activity are told while a task lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushSettings {
    /// Number of log lines that are told at once.
    pub log_entries: usize,
    /// Longest time for which a log line waits.
    pub log_interval: Duration,
    /// Longest time for which a changed activity waits.
    pub activity_interval: Duration,
}

/// Delivery of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskDelivery {
    phase: Phase,
    /// Bytes of output so far, as last reported by the run.
    output: u64,
    /// Bytes of output that the Manager has.
    told: u64,
    /// Rejections of the latest update in a row.
    rejections: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The task was accepted and does not run yet.
    Accepted,
    /// The steps program runs.
    Running(Live),
    /// The task is over; the Manager is told of its end.
    Over,
    /// The task is over without a result: the Manager gets the log and then the task.
    GivenBack,
    /// The Manager wants to hear nothing more of the task, which is not over yet.
    Abandoned,
    /// Nothing is left to tell.
    Done,
}

/// What the Manager has of a task that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Live {
    is_active_told: bool,
    watch: Watch,
    log_due: Option<Instant>,
    activity_due: Option<Instant>,
}

/// Way in which the courier learns of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    /// The run is asked to report further output from this instant on.
    From(Instant),
    /// The run will report output beyond what is known.
    Requested,
    /// There is output that was not looked at.
    Unseen,
}

/// Input of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlanInput {
    /// The steps program runs.
    Started,
    /// Another execution begins, because one was lost.
    Relaunched,
    /// There is so much output.
    Output(u64),
    /// The run was asked to report further output.
    WatchRequested,
    /// The output was looked at.
    Seen {
        /// Lines that the Manager does not have.
        lines: usize,
        /// Whether the activity is another than the Manager knows.
        is_activity_new: bool,
    },
    /// The run is over, with so much output.
    Over { output: u64, is_given_back: bool },
    /// The Manager took an update; it has so much of the output.
    Told { output: u64 },
    /// The Manager took the end of the task, or takes nothing more of a task that is over.
    Settled,
    /// The task is not this worker's any more.
    Abandoned,
    /// The Manager rejected an update.
    Rejected,
}

/// Next step of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum TaskCall {
    /// Tell that the task is active, with the log so far.
    TellActive,
    /// Tell log and activity of a task that lasts.
    Push,
    /// Look at the output and the journal.
    Look,
    /// Ask the run to report output beyond what is known.
    Watch,
    /// Tell the next piece of the log, and the end of the task with the last one.
    Finish,
    /// Tell the next piece of the log of a task that is given back.
    PushRest,
    /// Give the task back.
    GiveBack,
}

/// Step, wait or end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Planned {
    Call(TaskCall),
    Wait(Option<Instant>),
    Forget,
}

impl TaskDelivery {
    /// Begins a delivery of which the Manager has so much output.
    pub(super) fn new(told: u64) -> Self {
        Self { phase: Phase::Accepted, output: told, told, rejections: 0 }
    }

    /// Returns the bytes of output that the Manager has.
    pub(super) fn told(&self) -> u64 {
        self.told
    }

    /// Returns the bytes of output so far.
    pub(super) fn output(&self) -> u64 {
        self.output
    }

    /// Returns how often the latest update was rejected in a row.
    pub(super) fn rejections(&self) -> u32 {
        self.rejections
    }

    /// Returns whether the task is over.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over | Phase::GivenBack | Phase::Done)
    }

    /// Returns whether the task is to be given back.
    pub(super) fn is_given_back(&self) -> bool {
        self.phase == Phase::GivenBack
    }

    /// Applies an input that came at an instant.
    pub(super) fn step(&mut self, input: PlanInput, now: Instant, settings: &PushSettings) {
        match input {
            PlanInput::Rejected => self.rejections += 1,
            PlanInput::Told { output } => {
                self.told = self.told.max(output);
                self.output = self.output.max(output);
                self.rejections = 0;
            }
            // The output of the lost execution is gone, and that of the next one begins anew.
            PlanInput::Relaunched => (self.told, self.output) = (0, 0),
            PlanInput::Output(total) | PlanInput::Over { output: total, .. } => self.output = self.output.max(total),
            _ => {}
        }
        self.phase = match (self.phase, input) {
            (Phase::Accepted | Phase::Running(_), PlanInput::Over { is_given_back: true, .. }) => Phase::GivenBack,
            (Phase::Accepted | Phase::Running(_), PlanInput::Over { is_given_back: false, .. }) => Phase::Over,
            (Phase::Abandoned, PlanInput::Over { .. }) | (Phase::Over | Phase::GivenBack, PlanInput::Settled) => {
                Phase::Done
            }
            (Phase::Accepted | Phase::Running(_), PlanInput::Abandoned | PlanInput::Settled) => Phase::Abandoned,
            (Phase::Over | Phase::GivenBack, PlanInput::Abandoned) => Phase::Done,
            (Phase::Accepted, PlanInput::Started) => Phase::Running(Live::begun(now)),
            (Phase::Running(_), PlanInput::Relaunched) => Phase::Accepted,
            (Phase::Running(live), input) => {
                let is_rest_due = self.told < self.output;
                Phase::Running(live.step(input, is_rest_due, now, settings))
            }
            (phase, _) => phase,
        };
    }

    /// Decides what is done next.
    pub(super) fn next(&self, now: Instant) -> Planned {
        match self.phase {
            Phase::Accepted | Phase::Abandoned => Planned::Wait(None),
            Phase::Running(live) => live.next(now, self.output - self.told),
            Phase::Over => Planned::Call(TaskCall::Finish),
            Phase::GivenBack if self.told < self.output => Planned::Call(TaskCall::PushRest),
            Phase::GivenBack => Planned::Call(TaskCall::GiveBack),
            Phase::Done => Planned::Forget,
        }
    }
}

impl Live {
    fn begun(now: Instant) -> Self {
        Self { is_active_told: false, watch: Watch::From(now), log_due: None, activity_due: None }
    }

    fn step(mut self, input: PlanInput, has_rest: bool, now: Instant, settings: &PushSettings) -> Self {
        match input {
            // Only the first line that waits sets the instant: a task that prints all the time would put it off for ever.
            PlanInput::Output(_) => {
                self.log_due.get_or_insert(now + settings.log_interval);
                self.watch = Watch::Unseen;
            }
            PlanInput::WatchRequested => self.watch = Watch::Requested,
            PlanInput::Seen { lines, is_activity_new } => {
                // The next look is a while after this one, however much the task prints.
                self.watch = Watch::From(now + LOOK_PAUSE);
                if lines > settings.log_entries {
                    self.log_due = Some(now);
                }
                if is_activity_new {
                    self.activity_due.get_or_insert(now + settings.activity_interval);
                }
            }
            PlanInput::Told { .. } => {
                (self.is_active_told, self.activity_due) = (true, None);
                self.log_due = has_rest.then(|| now + settings.log_interval);
            }
            _ => {}
        }
        self
    }

    fn next(&self, now: Instant, pending: u64) -> Planned {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if !self.is_active_told {
            return Planned::Call(TaskCall::TellActive);
        }
        if pending >= MUCH || is_due(self.log_due) || is_due(self.activity_due) {
            return Planned::Call(TaskCall::Push);
        }
        let watch_from = match self.watch {
            Watch::Unseen => return Planned::Call(TaskCall::Look),
            Watch::From(at) if at <= now => return Planned::Call(TaskCall::Watch),
            Watch::From(at) => Some(at),
            Watch::Requested => None,
        };
        Planned::Wait([watch_from, self.log_due, self.activity_due].into_iter().flatten().min())
    }
}
