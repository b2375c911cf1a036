//! Time-outs of workers and tasks: after which silence something is done, and when the next look at them is due.

use std::time::Duration;

use crate::server::domain::timestamp::Timestamp;
use crate::wire::flamenco::FarmWorkerStatus;

#[cfg(test)]
mod tests;

/// Longest time between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Shortest time between two looks, however many time-outs follow each other.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Times after which something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FarmTimes {
    /// Silence of a worker that is awake, after which its tasks are given to others.
    pub worker_silence: Duration,
    /// Silence about a task that is executed, after which it has failed.
    pub task_silence: Duration,
    /// Time after the start of the server in which nobody's silence counts: workers may not have noticed that it is back.
    pub first_check: Duration,
    /// Age at which tasks that are over are removed; `None`: never.
    pub task_age: Option<Duration>,
}

/// Times before which the last sign of life is too long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutoffs {
    /// Last contact of a worker.
    pub worker: Timestamp,
    /// Last sign of life about a task.
    pub task: Timestamp,
    /// End of a task that is to be removed; `None`: none is.
    pub remove: Option<Timestamp>,
}

/// Workers that are removed once nothing was heard of them for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerCleanup {
    /// Time since the last contact after which a worker is removed; `None`: none is.
    pub max_age: Option<Duration>,
    /// States in which a worker is removed.
    pub statuses: Vec<FarmWorkerStatus>,
}

impl Default for WorkerCleanup {
    fn default() -> Self {
        Self { max_age: None, statuses: vec![FarmWorkerStatus::Offline] }
    }
}

impl WorkerCleanup {
    /// Returns the state with this name, if a worker in it is away; one that works is never removed.
    #[must_use]
    pub fn status(word: &str) -> Option<FarmWorkerStatus> {
        use FarmWorkerStatus as S;
        FarmWorkerStatus::named(word).filter(|status| matches!(status, S::Offline | S::Timeout | S::Asleep | S::Error))
    }
}

impl FarmTimes {
    /// Returns the cutoffs at a time.
    #[must_use]
    pub fn cutoffs(&self, now: Timestamp) -> Cutoffs {
        let before = |age: Duration| now - age;
        Cutoffs {
            worker: before(self.worker_silence),
            task: before(self.task_silence),
            remove: self.task_age.map(before),
        }
    }

    /// Returns the time until the next look, from the oldest sign of life of a worker that is awake and of a task that is
    /// executed.
    #[must_use]
    pub fn pause(&self, now: Timestamp, oldest_worker: Option<Timestamp>, oldest_task: Option<Timestamp>) -> Duration {
        let until = |seen: Option<Timestamp>, limit: Duration| {
            // A sign of life in the future (the clock was set back) is looked at after the longest pause.
            seen.map(|seen| (seen + limit - now).to_std().unwrap_or_default())
        };
        let due = [until(oldest_worker, self.worker_silence), until(oldest_task, self.task_silence)];
        let soonest = due.into_iter().flatten().min().unwrap_or(LONGEST_PAUSE);
        soonest.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }
}
