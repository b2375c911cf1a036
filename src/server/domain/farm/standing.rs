//! FarmStanding of a worker with its Manager: its state, the state that it is asked to take, and what changes them.

use crate::wire::flamenco::{FarmWorkerStatus, MayKeepRunning, ObjectId, TaskStatus};

#[cfg(test)]
mod tests;

/// State of a worker, and what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FarmStanding {
    /// State of the worker, as it said or as its Manager concluded.
    pub status: FarmWorkerStatus,
    /// State that it is asked to take, if it is.
    pub asked: Option<StatusChange>,
}

/// State that a worker is asked to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusChange {
    /// State to take: awake, asleep or shutdown.
    pub status: FarmWorkerStatus,
    /// Whether it may finish its task before.
    pub is_lazy: bool,
}

/// Event between a worker and its Manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerEvent {
    /// Says that it has started.
    SignOn,
    /// Asks for a task, or whether it may go on with one.
    Contact,
    /// Says that it has taken a state.
    Acknowledged(FarmWorkerStatus),
    /// Says that it ends.
    SignOff,
    /// Has been silent for too long.
    Silent,
    /// An operator or its sleep schedule asks it to take a state.
    Asked(StatusChange),
    /// An operator has seen that it was silent.
    TimeoutSeen,
}

impl FarmStanding {
    /// Returns the standing after an event.
    #[must_use]
    pub fn after(self, event: WorkerEvent) -> Self {
        use FarmWorkerStatus as S;
        match event {
            WorkerEvent::SignOn => Self { status: S::Starting, ..self },
            // A worker that tries itself out does not become available by that.
            WorkerEvent::Contact if self.status == S::Testing => self,
            WorkerEvent::Contact => Self { status: S::Awake, ..self },
            // A worker does not acknowledge that it shuts down: it signs off.
            WorkerEvent::Acknowledged(S::Shutdown) => self,
            WorkerEvent::Acknowledged(status) => Self { status, asked: None },
            WorkerEvent::SignOff => Self { status: S::Offline, asked: self.asked_after_sign_off() },
            WorkerEvent::Silent if self.status == S::Awake => {
                // Asked back to where it was, so that it says so when it comes back.
                let back = StatusChange { status: S::Awake, is_lazy: false };
                Self { status: S::Timeout, asked: self.asked.or(Some(back)) }
            }
            WorkerEvent::Silent => self,
            WorkerEvent::Asked(change) => Self { asked: Some(change), ..self },
            WorkerEvent::TimeoutSeen if self.status == S::Timeout => Self { status: S::Offline, ..self },
            WorkerEvent::TimeoutSeen => self,
        }
    }

    fn asked_after_sign_off(self) -> Option<StatusChange> {
        use FarmWorkerStatus as S;
        match self.asked {
            // A worker that slept sleeps on when it comes back.
            None | Some(StatusChange { status: S::Shutdown, .. }) if self.status == S::Asleep => {
                Some(StatusChange { status: S::Asleep, is_lazy: false })
            }
            Some(StatusChange { status: S::Shutdown, .. }) => None,
            asked => asked,
        }
    }

    /// Decides whether a worker may go on with a task; `None` for a task that does not exist.
    #[must_use]
    pub fn may_keep_running(self, worker: ObjectId, task: Option<(TaskStatus, Option<ObjectId>)>) -> MayKeepRunning {
        let reason = match task {
            None => Some("unable to find task".to_owned()),
            Some((_, holder)) if holder != Some(worker) => Some("task reassigned to another worker".to_owned()),
            Some((status, _)) if status != TaskStatus::Active => {
                Some(format!("task is in non-runnable status {}", status.word()))
            }
            Some(_) => self.asked.filter(StatusChange::stops_a_task).map(|asked| {
                let word = asked.status.word();
                format!("worker status change to {word} requested")
            }),
        };
        let status_requested = self.asked.map(|asked| asked.status);
        MayKeepRunning { may_keep_running: reason.is_none(), reason, status_requested }
    }
}

impl StatusChange {
    fn stops_a_task(&self) -> bool {
        !self.is_lazy && self.status != FarmWorkerStatus::Awake
    }
}
