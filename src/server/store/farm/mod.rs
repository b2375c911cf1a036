//! The farm: workers of Flamenco, their jobs and tasks, and who executes which.
//!
//! Every state of a task is decided by [`crate::server::domain::farm::life`], and written in the transaction that read what
//! the decision rests on. A task is given to a worker in one transaction, so no task is ever active on two workers.

mod assign;
mod jobs;
mod requeue;
mod rows;
mod schedules;
mod situation;
mod status;
#[cfg(test)]
mod tests;
mod updates;
mod watch;
mod workers;

pub use assign::Assignment;
pub use jobs::{JobProgress, NewFarmJob};
pub use rows::{Contact, FarmTask, FarmWorker};
pub use schedules::ScheduledWorker;
pub use situation::TaskSituation;
pub use updates::{FarmUpdate, UpdateAdmission, UpdateOutcome};
pub use watch::{FarmSilence, Watched};
pub use workers::{FarmCredentials, FarmWorkerOverview, FarmWorkerTask, NewFarmWorker, Registered};

use super::db::{Argument, FromValue, Value};
use crate::wire::flamenco::{FarmWorkerStatus, ObjectId, TaskStatus};

impl FromValue for ObjectId {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}

impl FromValue for TaskStatus {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Self::named(text),
            _ => None,
        }
    }
}

impl FromValue for FarmWorkerStatus {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Self::named(text),
            _ => None,
        }
    }
}

impl Argument for TaskStatus {
    fn value(&self) -> Value<'_> {
        Value::Text(self.word())
    }
}

impl Argument for FarmWorkerStatus {
    fn value(&self) -> Value<'_> {
        Value::Text(self.word())
    }
}
