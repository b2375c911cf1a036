//! Standing of a worker at its Flamenco Manager: which state it is asked to take, and which one it acknowledges. Pure.

use crate::run::{Pace, WorkerCommand, WorkerState};
use crate::wire::flamenco::FarmWorkerStatus;

#[cfg(test)]
mod tests;

/// Standing of the worker, as the Manager knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// State that the Manager asked for and that is not acknowledged.
    asked: Option<FarmWorkerStatus>,
    /// State of the worker that the Manager knows; `None` after a sign-on, from which it takes the worker for awake.
    known: Option<FarmWorkerStatus>,
}

/// State of the worker that the standing depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnState {
    /// State of the worker as a whole.
    pub worker: WorkerState,
    /// Whether the checks before a task fail.
    pub is_hindered: bool,
    /// Whether the worker was started to try out its configuration.
    pub is_testing: bool,
}

impl Standing {
    /// Notes a state that the Manager asks for. Returns the command that follows from it; `None` where none does, or where
    /// the same was asked before and is not acknowledged yet.
    pub fn ask(&mut self, status: FarmWorkerStatus, pace: Pace) -> Option<(WorkerCommand, Pace)> {
        if self.asked.replace(status) == Some(status) {
            return None;
        }
        match status {
            FarmWorkerStatus::Awake | FarmWorkerStatus::Testing => Some((WorkerCommand::Wake, Pace::AfterRuns)),
            FarmWorkerStatus::Shutdown => Some((WorkerCommand::Shutdown, pace)),
            // No state is asked for.
            FarmWorkerStatus::Registered => {
                self.asked = None;
                None
            }
            // Whoever is asked for a state that makes no sense takes no tasks.
            FarmWorkerStatus::Asleep
            | FarmWorkerStatus::Error
            | FarmWorkerStatus::Starting
            | FarmWorkerStatus::Timeout
            | FarmWorkerStatus::Offline => Some((WorkerCommand::Sleep, pace)),
        }
    }

    /// Notes that the worker has signed on, which makes the Manager forget what was acknowledged.
    pub fn signed_on(&mut self) {
        *self = Self::default();
    }

    /// Returns the state that is to be acknowledged now; `None` where the Manager knows it.
    pub fn acknowledgement(&self, own: OwnState) -> Option<FarmWorkerStatus> {
        let status = own.status()?;
        match self.asked {
            Some(asked) if answers(status, asked) => Some(asked),
            // A worker that asks for tasks is awake for its Manager without a word.
            _ => Some(status).filter(|status| self.known.unwrap_or(FarmWorkerStatus::Awake) != *status),
        }
    }

    /// Notes that the Manager took an acknowledgement of a worker in this state.
    pub fn acknowledged(&mut self, own: OwnState) {
        let status = own.status();
        if self.asked.zip(status).is_some_and(|(asked, status)| answers(status, asked)) {
            self.asked = None;
        }
        self.known = status;
    }
}

impl OwnState {
    /// Returns the state as the Manager names it; `None` while there is nothing to tell.
    fn status(self) -> Option<FarmWorkerStatus> {
        match self.worker {
            WorkerState::Asleep => Some(FarmWorkerStatus::Asleep),
            WorkerState::Awake if self.is_hindered => Some(FarmWorkerStatus::Error),
            WorkerState::Awake if self.is_testing => Some(FarmWorkerStatus::Testing),
            WorkerState::Awake => Some(FarmWorkerStatus::Awake),
            WorkerState::Starting | WorkerState::Draining | WorkerState::Offline => None,
        }
    }
}

/// Returns whether a worker in a state has done what was asked.
fn answers(status: FarmWorkerStatus, asked: FarmWorkerStatus) -> bool {
    match asked {
        FarmWorkerStatus::Awake => matches!(status, FarmWorkerStatus::Awake | FarmWorkerStatus::Testing),
        FarmWorkerStatus::Error => status == FarmWorkerStatus::Asleep,
        asked => status == asked,
    }
}
