//! What operators see and do on the farm beside its jobs: single tasks with the reasons for their state, and workers. An
//! addition of this project.

use serde::{Deserialize, Serialize};

use super::submission::FarmTaskInfo;
use super::{BlacklistDocument, CommandDocument, FarmWorkerStatus, ObjectId, ScheduleDocument};

/// Task with what explains its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FarmTaskDetails {
    /// Task as lists have it.
    #[serde(flatten)]
    pub task: FarmTaskInfo,
    /// Id of its job.
    pub job: ObjectId,
    /// Name of its job.
    pub job_name: String,
    /// Commands as they were submitted.
    pub commands: Vec<CommandDocument>,
    /// Names of the workers that failed it.
    pub failed_by: Vec<String>,
    /// Timestamp of the last change of its state.
    pub updated: String,
    /// Reasons for its state, each as a sentence fragment for people.
    pub why: Vec<String>,
}

/// Answer to an order to execute a task, or the failed tasks of a job, again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequeuedTasks {
    /// Number of tasks that wait for a worker now.
    pub requeued: u64,
}

/// Worker of the farm, as operators see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FarmWorkerInfo {
    /// Id of the worker.
    pub id: ObjectId,
    /// Name for people, not unique.
    pub nickname: String,
    /// State of the worker; empty where it has registered and never asked for anything.
    pub status: FarmWorkerStatus,
    /// State that it is asked to take.
    pub status_requested: Option<FarmWorkerStatus>,
    /// Whether it may finish its task before.
    pub is_lazy: bool,
    /// Task that it executes.
    pub task: Option<ObjectId>,
    /// Types of tasks that it supports.
    pub task_types: Vec<String>,
    /// Operating system of its host.
    pub platform: String,
    /// Address of its last contact.
    pub address: String,
    /// Program, as it names itself.
    pub software: String,
    /// Timestamp of its last contact.
    pub last_contact: String,
    /// Hours at which it sleeps.
    pub sleep_schedule: Option<ScheduleDocument>,
    /// Types of tasks of jobs that it no longer gets.
    pub blacklist: Vec<BlacklistDocument>,
}

/// Workers of the farm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FarmWorkerList {
    /// Workers in the order of their names.
    pub workers: Vec<FarmWorkerInfo>,
}

/// Command to a worker of the farm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FarmWorkerCommand {
    /// Ask for no tasks until it is woken.
    Sleep,
    /// Ask for tasks again.
    Wake,
    /// Sign off and exit.
    Shutdown,
    /// Remove it; its task waits for another worker.
    Forget,
}

impl FarmWorkerCommand {
    /// Every command, in the order of the declaration.
    pub const ALL: [Self; 4] = [Self::Sleep, Self::Wake, Self::Shutdown, Self::Forget];

    /// Returns the name used on the wire and in forms.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::Wake => "wake",
            Self::Shutdown => "shutdown",
            Self::Forget => "forget",
        }
    }

    /// Returns the state that the worker is asked to take; `None` where it is not asked.
    #[must_use]
    pub fn status(self) -> Option<FarmWorkerStatus> {
        match self {
            Self::Sleep => Some(FarmWorkerStatus::Asleep),
            Self::Wake => Some(FarmWorkerStatus::Awake),
            Self::Shutdown => Some(FarmWorkerStatus::Shutdown),
            Self::Forget => None,
        }
    }
}

/// Body of `POST /operator/v1/flamenco/workers/act`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FarmWorkerOrder {
    /// Ids of the workers.
    pub workers: Vec<ObjectId>,
    /// Command that they get.
    pub command: FarmWorkerCommand,
    /// Whether they leave their task, which then waits for another worker, and do not finish it first.
    #[serde(default)]
    pub now: bool,
}

/// Answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedWorkers {
    /// Workers that were asked, or removed.
    pub done: Vec<ObjectId>,
    /// Workers that do not exist.
    pub unknown: Vec<ObjectId>,
}
