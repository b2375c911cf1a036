//! Shutdown of the worker: decides from phase and input what the daemon does next, and with which code it exits. Pure.
//!
//! The first TERM drains, the second stops the runs, the third exits at once; USR2 hands the runs over to the next
//! start. The same count holds while the worker starts and while it leaves.

use super::exit_code::{EXIT_CANNOT_CREATE, EXIT_CONFIG, EXIT_DRAINED, EXIT_FAILURE, EXIT_REFUSED, EXIT_TEMPORARY};
use super::signals::SignalRequest;
use crate::run::worker_lifecycle::Leave;

#[cfg(test)]
mod tests;

/// TERMs, in all, of which the last exits at once.
const TERMS: u8 = 3;

/// Phase of the daemon between its start and its exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownPhase {
    /// The worker is being started.
    Starting,
    /// The worker is being started, and will drain what it takes up, because a TERM came.
    StartingToDrain,
    /// The worker executes runs.
    Serving,
    /// The worker takes no new runs and waits for those under way.
    Draining,
    /// The runs under way are being stopped.
    Stopping,
    /// The worker delivers its last reports.
    Leaving {
        /// Exit code that follows.
        code: u8,
        /// Further TERMs after which the process exits at once; zero where none does.
        terms_left: u8,
    },
    /// The process exits with this code.
    Exited(u8),
}

/// Input of the shutdown: a signal, or an event of worker, server or clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A signal of the operator or the supervisor.
    Signal(SignalRequest),
    /// The worker is started.
    Started,
    /// The worker cannot be started.
    StartFailed(StartFailure),
    /// The time for a start that is to drain is over.
    StartTimeout,
    /// Neither a run nor a kill is under way any more.
    Drained,
    /// The time for a drain is over.
    DrainTimeout,
    /// The server asked the worker to leave, and the worker has drained as that asks for.
    AskedToLeave {
        /// Request of the server.
        leave: Leave,
        /// Exit code by which the supervisor starts the worker again; `None` where it does not.
        restart_exit_code: Option<u8>,
    },
    /// The service refuses the worker for good.
    Refused,
    /// The last reports are delivered, or their time is over.
    Left,
}

/// Reason for which a worker cannot be started, as far as the exit code depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFailure {
    /// The settings are wrong.
    Settings,
    /// A directory or file cannot be used.
    Directory,
    /// The system lacks a resource.
    Resource,
}

/// Effect of an input, which the daemon performs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The daemon goes on as before.
    Nothing,
    /// Bound the rest of the start.
    BoundStart,
    /// Begin the drain, and bound it where the settings do.
    Drain,
    /// Stop the runs, because a second TERM asked for it.
    StopRuns,
    /// Stop the runs, because the time for the drain is over.
    StopRunsLate,
    /// Take no new runs, stop those under way and give them back.
    GiveBackRuns,
    /// Take no new runs until the worker is woken.
    Sleep,
    /// Take new runs again.
    Wake,
    /// Write the status to the log.
    WriteStatus,
    /// Read the settings again.
    Reload,
    /// Leave in this way, and exit then.
    Leave(LeaveWay),
    /// Exit with this code at once.
    Exit(u8),
}

/// Way in which the worker leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveWay {
    /// Neither a run nor a kill is under way; the last reports are delivered.
    Drained,
    /// The same, because the server asked for it.
    Asked(Leave),
    /// Running scripts go on, for the next start to take up.
    HandOver,
}

impl ShutdownPhase {
    /// Returns the phase after an input, and the effect of the input.
    #[must_use]
    pub fn step(self, input: Input) -> (Self, Effect) {
        match self {
            Self::Starting | Self::StartingToDrain => self.step_of_start(input),
            Self::Serving | Self::Draining | Self::Stopping => self.step_of_work(input),
            Self::Leaving { code, terms_left } => match (input, terms_left) {
                (Input::Left, _) => exit(code),
                (Input::Signal(SignalRequest::Terminate | SignalRequest::GiveBack), 1) => exit(EXIT_FAILURE),
                (Input::Signal(SignalRequest::Terminate | SignalRequest::GiveBack), 2..) => {
                    (Self::Leaving { code, terms_left: terms_left - 1 }, Effect::Nothing)
                }
                _ => (self, Effect::Nothing),
            },
            Self::Exited(_) => (self, Effect::Nothing),
        }
    }

    fn step_of_start(self, input: Input) -> (Self, Effect) {
        match (self, input) {
            (Self::Starting, Input::Signal(SignalRequest::Terminate)) => (Self::StartingToDrain, Effect::BoundStart),
            // Runs that were not taken up yet are not stopped: the next start asks about them.
            (Self::Starting, Input::Signal(SignalRequest::GiveBack)) => exit(EXIT_DRAINED),
            (Self::Starting, Input::Started) => (Self::Serving, Effect::Nothing),
            (_, Input::Started) => (Self::Draining, Effect::Drain),
            // Running scripts go on, for the next start to take up.
            (_, Input::Signal(SignalRequest::Terminate | SignalRequest::GiveBack) | Input::StartTimeout) => {
                exit(EXIT_FAILURE)
            }
            (_, Input::Signal(SignalRequest::HandOver)) => exit(EXIT_TEMPORARY),
            (_, Input::StartFailed(StartFailure::Settings)) => exit(EXIT_CONFIG),
            (_, Input::StartFailed(StartFailure::Directory)) => exit(EXIT_CANNOT_CREATE),
            (_, Input::StartFailed(StartFailure::Resource)) => exit(EXIT_FAILURE),
            // There is no status yet, and the settings were read just now.
            (
                _,
                Input::Signal(SignalRequest::Dump | SignalRequest::Reload | SignalRequest::Sleep | SignalRequest::Wake),
            ) => (self, Effect::Nothing),
            (_, Input::Drained | Input::DrainTimeout | Input::AskedToLeave { .. } | Input::Refused | Input::Left) => {
                (self, Effect::Nothing)
            }
        }
    }

    fn step_of_work(self, input: Input) -> (Self, Effect) {
        match (self, input) {
            (_, Input::Signal(SignalRequest::Dump)) => (self, Effect::WriteStatus),
            (_, Input::Signal(SignalRequest::Reload)) => (self, Effect::Reload),
            (_, Input::Signal(SignalRequest::Sleep)) => (self, Effect::Sleep),
            (_, Input::Signal(SignalRequest::Wake)) => (self, Effect::Wake),
            (Self::Serving, Input::Signal(SignalRequest::GiveBack)) => (Self::Stopping, Effect::GiveBackRuns),
            (Self::Serving, Input::Refused) => self.leave(LeaveWay::HandOver, EXIT_REFUSED),
            (_, Input::Refused) => (self, Effect::Nothing),
            (_, Input::Signal(SignalRequest::HandOver)) => self.leave(LeaveWay::HandOver, EXIT_TEMPORARY),
            (Self::Serving, Input::Signal(SignalRequest::Terminate)) => (Self::Draining, Effect::Drain),
            (Self::Draining, Input::Signal(SignalRequest::Terminate)) => (Self::Stopping, Effect::StopRuns),
            (Self::Draining, Input::DrainTimeout) => (Self::Stopping, Effect::StopRunsLate),
            (_, Input::Signal(SignalRequest::Terminate | SignalRequest::GiveBack)) => {
                (Self::Leaving { code: EXIT_FAILURE, terms_left: 0 }, Effect::Leave(LeaveWay::HandOver))
            }
            (Self::Draining | Self::Stopping, Input::Drained) => self.leave(LeaveWay::Drained, EXIT_DRAINED),
            // A restart needs an exit code that says so to the supervisor.
            (Self::Serving, Input::AskedToLeave { leave: Leave::Restart, restart_exit_code: Some(code) }) => {
                self.leave(LeaveWay::Asked(Leave::Restart), code)
            }
            (Self::Serving, Input::AskedToLeave { leave, .. }) => self.leave(LeaveWay::Asked(leave), EXIT_DRAINED),
            // The drain that a TERM began is under way already.
            (_, Input::AskedToLeave { .. }) => (self, Effect::Nothing),
            (_, Input::Drained | Input::DrainTimeout) => (self, Effect::Nothing),
            (_, Input::Started | Input::StartFailed(_) | Input::StartTimeout | Input::Left) => (self, Effect::Nothing),
        }
    }

    /// Returns the phase in which the worker leaves; the TERMs that came before count.
    fn leave(self, way: LeaveWay, code: u8) -> (Self, Effect) {
        let terms_left = match self {
            Self::Stopping => TERMS - 2,
            Self::Draining => TERMS - 1,
            _ => TERMS,
        };
        (Self::Leaving { code, terms_left }, Effect::Leave(way))
    }
}

fn exit(code: u8) -> (ShutdownPhase, Effect) {
    (ShutdownPhase::Exited(code), Effect::Exit(code))
}
