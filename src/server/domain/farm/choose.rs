//! Choice of the task that a worker gets.

use std::cmp::Reverse;

use crate::server::domain::farm::standing::FarmStanding;
use crate::wire::flamenco::{FarmWorkerStatus, ObjectId};

#[cfg(test)]
mod tests;

/// Answer to a worker that asks for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskChoice {
    /// It is asked to take another state first.
    StatusAsked(FarmWorkerStatus),
    /// It supports no type of task.
    NoTypes,
    /// The task that it already has: the answer that gave it was lost.
    Again(ObjectId),
    /// A task that is given to it now.
    Assign(ObjectId),
    /// None of the tasks that wait is for it.
    Nothing,
}

/// Task that a worker may get, with what decides among several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Id of the task.
    pub task: ObjectId,
    /// Priority of its job.
    pub job_priority: i64,
    /// Priority within its job.
    pub priority: i64,
}

impl Candidate {
    /// Returns the key by which candidates are ordered; the lowest comes first: the highest priority of a job, the highest
    /// priority within it, the oldest task.
    #[must_use]
    pub fn rank(&self) -> (Reverse<i64>, Reverse<i64>, ObjectId) {
        (Reverse(self.job_priority), Reverse(self.priority), self.task)
    }
}

/// Chooses for a worker, from the task that it has and the first candidate of each type that it supports.
#[must_use]
pub fn choose(
    standing: &FarmStanding,
    types: &[String],
    has: Option<ObjectId>,
    candidates: impl IntoIterator<Item = Candidate>,
) -> TaskChoice {
    if let Some(asked) = standing.asked {
        return TaskChoice::StatusAsked(asked.status);
    }
    if types.is_empty() {
        return TaskChoice::NoTypes;
    }
    if let Some(task) = has {
        return TaskChoice::Again(task);
    }
    let best = candidates.into_iter().min_by_key(Candidate::rank);
    best.map_or(TaskChoice::Nothing, |best| TaskChoice::Assign(best.task))
}
