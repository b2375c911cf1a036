//! Jobs that operators submit to the Manager, without a Flamenco Server: an addition of this project.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CommandDocument, ObjectId};

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
    /// Name for people.
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
