//! Jobs that operators submit to the Manager, without a Flamenco Server: an addition of this project.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CommandDocument, ObjectId, TaskStatus};

/// Priority of a job or task that names none.
pub const PRIORITY: i64 = 50;

/// Body of `POST /operator/v1/flamenco/jobs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSubmission {
    /// Name for people; several jobs may have the same.
    pub name: String,
    /// Type of the job.
    #[serde(default)]
    pub job_type: String,
    /// Priority of the job; a higher one comes first.
    #[serde(default = "usual")]
    pub priority: i64,
    /// Tasks in the order of their ids: of two with the same priority the first one comes first.
    pub tasks: Vec<TaskSubmission>,
}

/// Task of a submitted job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSubmission {
    /// Name, unique in the job.
    pub name: String,
    /// Type of the task, which a worker must support.
    pub task_type: String,
    /// Priority among the tasks of the job.
    #[serde(default = "usual")]
    pub priority: i64,
    /// Names of the tasks that must be completed before.
    #[serde(default)]
    pub parents: Vec<String>,
    /// Commands, executed one after another until one fails.
    pub commands: Vec<CommandDocument>,
}

/// Answer to a submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmittedJob {
    /// Id of the job.
    pub id: ObjectId,
    /// Ids of its tasks by name.
    pub tasks: BTreeMap<String, ObjectId>,
}

/// Job of the Manager, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FarmJobInfo {
    /// Id of the job.
    pub id: ObjectId,
    /// Name under which people know it.
    pub name: String,
    /// Type of the job.
    pub job_type: String,
    /// Priority of the job.
    pub priority: i64,
    /// Timestamp of the submission.
    pub created: String,
    /// Number of its tasks by their state.
    pub tasks: BTreeMap<String, u64>,
}

/// Jobs of the Manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FarmJobList {
    /// Jobs, the latest first.
    pub jobs: Vec<FarmJobInfo>,
    /// Id to give as `after` for the next page; `None` on the last one.
    pub next: Option<ObjectId>,
}

/// Task of the Manager, as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FarmTaskInfo {
    /// Id of the task.
    pub id: ObjectId,
    /// Name, unique in the job.
    pub name: String,
    /// Type that a worker must support.
    pub task_type: String,
    /// State of the task.
    pub status: TaskStatus,
    /// Priority within the job.
    pub priority: i64,
    /// Number of its parents that are not completed.
    pub unfinished_parents: u32,
    /// Id of the worker that has it, or had it last.
    pub worker: Option<ObjectId>,
    /// Name of the worker that has it, `-` after it was taken from one.
    pub worker_name: String,
    /// Activity as a text for people.
    pub activity: String,
}

/// Tasks of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FarmTaskList {
    /// Tasks, the first submitted first.
    pub tasks: Vec<FarmTaskInfo>,
    /// Id to give as `after` for the next page; `None` on the last one.
    pub next: Option<ObjectId>,
}

/// Tasks of a job that an order to cancel it found, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanceledJob {
    /// Tasks that nobody executed: they are cancelled.
    pub canceled: u64,
    /// Tasks that a worker executes: it is told to stop at its next question.
    pub requested: u64,
}

fn usual() -> i64 {
    PRIORITY
}
