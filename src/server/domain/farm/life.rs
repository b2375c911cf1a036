//! Life of a task: which event brings it from which state to which.

use crate::server::domain::farm::softfail::FailureEnd;
use crate::wire::flamenco::TaskStatus;

#[cfg(test)]
mod tests;

/// State that a worker reports of a task that it executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskReport {
    /// Commands are still executed.
    Active,
    /// All commands ended with success.
    Completed,
    /// The worker stopped the task.
    Canceled,
    /// A command failed, and the rules of failures decided on what follows.
    Failed(FailureEnd),
}

/// Event in the life of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskEvent {
    /// A worker gets it.
    Assigned,
    /// The worker that has it reports.
    Reported(TaskReport),
    /// The worker no longer executes it: it gave it back, signed off, is silent, was removed, or asks for another one.
    Released,
    /// The worker has said nothing of it for too long.
    TimedOut,
    /// An operator or the Flamenco Server wants it stopped.
    CancelAsked,
    /// An operator wants it executed again.
    Requeued,
}

/// Returns the state after an event; `None` where the event changes nothing and is dropped. A report that a task is active
/// keeps its state and is accepted.
#[must_use]
pub fn change(from: TaskStatus, event: TaskEvent) -> Option<TaskStatus> {
    use TaskStatus as S;
    match event {
        TaskEvent::Assigned => from.is_schedulable().then_some(S::Active),
        TaskEvent::Reported(report) => match (from, report) {
            (S::Active, TaskReport::Active) => Some(S::Active),
            (S::Active, TaskReport::Completed) => Some(S::Completed),
            (S::Active, TaskReport::Canceled) => Some(S::Canceled),
            (S::Active, TaskReport::Failed(FailureEnd::Retried)) => Some(S::SoftFailed),
            (S::Active, TaskReport::Failed(FailureEnd::Final)) => Some(S::Failed),
            // However it ended, it was not to be executed any more.
            (S::CancelRequested, TaskReport::Completed | TaskReport::Canceled | TaskReport::Failed(_)) => {
                Some(S::Canceled)
            }
            _ => None,
        },
        // A task that is over, or that another worker has by now, is none of the one that gives it back.
        TaskEvent::Released => match from {
            S::Active => Some(S::ClaimedByManager),
            S::CancelRequested => Some(S::Canceled),
            _ => None,
        },
        TaskEvent::TimedOut => match from {
            S::Active => Some(S::Failed),
            S::CancelRequested => Some(S::Canceled),
            _ => None,
        },
        TaskEvent::CancelAsked => match from {
            S::Active => Some(S::CancelRequested),
            S::Queued | S::ClaimedByManager | S::SoftFailed => Some(S::Canceled),
            S::CancelRequested | S::Completed | S::Failed | S::Canceled => None,
        },
        // One that waits for another worker may then be tried by those that failed it as well.
        TaskEvent::Requeued => match from {
            S::SoftFailed | S::Completed | S::Failed | S::Canceled => Some(S::Queued),
            S::Queued | S::ClaimedByManager | S::Active | S::CancelRequested => None,
        },
    }
}
