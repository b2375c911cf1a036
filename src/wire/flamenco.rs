//! Documents of Flamenco 2.x between a Manager and its workers: JSON over HTTP/1.1, read and written by both sides.
//!
//! A document that is received may lack any field but those without which it means nothing, and may have fields that this
//! program does not know; names of Flamenco 2.0 are read, too. A document that is sent has exactly the fields of version
//! 2.7, because the original worker stops asking for good after an answer with a field that it does not know.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::run::Secret;

pub mod jwt;
mod object_id;
pub mod submission;
pub mod supervision;
#[cfg(test)]
mod tests;

pub use object_id::ObjectId;

/// Most commands of one task. A worker refuses a task with more, and a Manager never stores one.
pub const MAX_COMMANDS: usize = 1000;

/// State of a task, as Manager, worker and Flamenco Server name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskStatus {
    /// Waits for a worker.
    Queued,
    /// Waits for a worker after it was taken from another one.
    ClaimedByManager,
    /// A worker executes it.
    Active,
    /// Failed on some worker and waits for another one.
    SoftFailed,
    /// A worker executes it and is asked to stop.
    CancelRequested,
    /// All commands ended with success.
    Completed,
    /// A command failed, and no other worker tries it.
    Failed,
    /// Stopped on request, or never started.
    Canceled,
}

impl TaskStatus {
    /// Every state, in the order of the declaration.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::ClaimedByManager,
        Self::Active,
        Self::SoftFailed,
        Self::CancelRequested,
        Self::Completed,
        Self::Failed,
        Self::Canceled,
    ];

    /// Returns the name used on the wire, in the store and for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::ClaimedByManager => "claimed-by-manager",
            Self::Active => "active",
            Self::SoftFailed => "soft-failed",
            Self::CancelRequested => "cancel-requested",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Returns the state with this name, or `None` for an unknown one.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }

    /// Returns whether a Manager may give a task in this state to a worker.
    #[must_use]
    pub fn is_schedulable(self) -> bool {
        matches!(self, Self::Queued | Self::ClaimedByManager | Self::SoftFailed)
    }

    /// Returns whether the task has ended for good.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled)
    }
}

/// State of a Flamenco worker: what it says of itself, what its Manager concluded, or what it is asked to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FarmWorkerStatus {
    /// Registered, and not heard of since; an empty text on the wire.
    Registered,
    /// Has signed on and not yet asked for a task.
    Starting,
    /// Asks for tasks and executes them.
    Awake,
    /// Asks for no tasks until it is woken.
    Asleep,
    /// Cannot work, and looks again by itself.
    Error,
    /// Tries out its configuration with a task of the test.
    Testing,
    /// Was awake and has been silent for too long.
    Timeout,
    /// Has signed off since its last contact.
    Offline,
    /// Asked to exit; a worker never is in this state.
    Shutdown,
}

impl FarmWorkerStatus {
    /// Every state, in the order of the declaration.
    pub const ALL: [Self; 9] = [
        Self::Registered,
        Self::Starting,
        Self::Awake,
        Self::Asleep,
        Self::Error,
        Self::Testing,
        Self::Timeout,
        Self::Offline,
        Self::Shutdown,
    ];

    /// Returns the name used on the wire and in the store.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Registered => "",
            Self::Starting => "starting",
            Self::Awake => "awake",
            Self::Asleep => "asleep",
            Self::Error => "error",
            Self::Testing => "testing",
            Self::Timeout => "timeout",
            Self::Offline => "offline",
            Self::Shutdown => "shutdown",
        }
    }

    /// Returns the state with this name, or `None` for an unknown one. `down` is how 2.0 names [`Self::Offline`].
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        if word == "down" {
            return Some(Self::Offline);
        }
        Self::ALL.into_iter().find(|status| status.word() == word)
    }
}

impl Serialize for FarmWorkerStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for FarmWorkerStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        // The original worker falls asleep over a state that it does not know: then no task is started by mistake.
        Ok(Self::named(&word).unwrap_or(Self::Asleep))
    }
}

/// Body of `POST /register-worker`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Registration {
    /// Secret that the worker chose, its password from now on. 64 letters and digits of the original.
    #[serde(with = "secret_text")]
    pub secret: Secret,
    /// Operating system: `linux`, `windows` or `darwin`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub platform: String,
    /// Types of tasks that the worker executes.
    #[serde(default, alias = "supported_job_types", deserialize_with = "null_as_default")]
    pub supported_task_types: Vec<String>,
    /// Name for people; the host's name where nothing else is configured.
    #[serde(default, deserialize_with = "null_as_default")]
    pub nickname: String,
}

/// Body of `POST /sign-on`. An empty field leaves what the Manager knows as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignOn {
    /// Types of tasks that the worker executes.
    #[serde(default, alias = "supported_job_types", deserialize_with = "null_as_default")]
    pub supported_task_types: Vec<String>,
    /// Name under which people know it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub nickname: String,
}

/// Worker, as its registration is answered and as reports show it. The secret never is part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerDocument {
    /// Id, the name under which the worker authenticates from now on.
    #[serde(rename = "_id")]
    pub id: ObjectId,
    /// Name under which people know it.
    #[serde(default)]
    pub nickname: String,
    /// Address of its host, without a port.
    #[serde(default)]
    pub address: String,
    /// State of the worker.
    #[serde(default = "registered")]
    pub status: FarmWorkerStatus,
    /// Operating system of its host.
    #[serde(default)]
    pub platform: String,
    /// Types of tasks that the worker executes.
    #[serde(default, deserialize_with = "null_as_default")]
    pub supported_task_types: Vec<String>,
    /// Value of its `User-Agent` header.
    #[serde(default)]
    pub software: String,
    /// Id of the task that was last given to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_task: Option<ObjectId>,
    /// Id of that task's job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_job: Option<ObjectId>,
    /// State of that task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_task_status: Option<TaskStatus>,
    /// Last contact, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_activity: Option<String>,
    /// State that the worker is asked to take; empty where none is.
    #[serde(default = "registered")]
    pub status_requested: FarmWorkerStatus,
    /// Whether the requested state may wait for the end of the task.
    #[serde(default)]
    pub lazy_status_request: bool,
    /// Hours at which the worker sleeps.
    #[serde(default)]
    pub sleep_schedule: ScheduleDocument,
    /// Types of tasks of jobs that the worker no longer gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blacklist: Vec<BlacklistDocument>,
}

/// Type of tasks of a job that a worker no longer gets, because it failed too many of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlacklistDocument {
    /// Id of the job.
    pub job_id: ObjectId,
    /// Type of the tasks.
    pub task_type: String,
}

/// Command of a task: a name, and settings whose names depend on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandDocument {
    /// Kind of the command, such as `exec`.
    pub name: String,
    /// Settings of the command.
    #[serde(default, deserialize_with = "null_as_default")]
    pub settings: Map<String, Value>,
}

/// Task, as a Manager gives it to a worker and a Flamenco Server to a Manager. A worker reads the id and the commands
/// alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskDocument {
    /// Id of the task.
    #[serde(rename = "_id")]
    pub id: ObjectId,
    /// Version of the task on the Flamenco Server.
    #[serde(rename = "_etag", default, skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub etag: String,
    /// Id of the job.
    #[serde(default, deserialize_with = "null_as_default")]
    pub job: String,
    /// Id of the Manager on the Flamenco Server.
    #[serde(default, deserialize_with = "null_as_default")]
    pub manager: String,
    /// Id of the project on the Flamenco Server.
    #[serde(default, deserialize_with = "null_as_default")]
    pub project: String,
    /// Id of the user on the Flamenco Server.
    #[serde(default, deserialize_with = "null_as_default")]
    pub user: String,
    /// Name under which people know it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    /// State of the task; `None` where it has a name that this program does not know.
    #[serde(default, deserialize_with = "known_status", skip_serializing_if = "Option::is_none")]
    pub status: Option<TaskStatus>,
    /// Priority among the tasks of its job; a higher one comes first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub priority: i64,
    /// Priority of the job; a higher one comes first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub job_priority: i64,
    /// Type of the job.
    #[serde(default, deserialize_with = "null_as_default")]
    pub job_type: String,
    /// Type of the task, which a worker must support.
    #[serde(default, deserialize_with = "null_as_default")]
    pub task_type: String,
    /// Commands, executed one after another until one fails.
    #[serde(default, deserialize_with = "null_as_default")]
    pub commands: Vec<CommandDocument>,
    /// Ids of the tasks that must be completed before.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub parents: Vec<ObjectId>,
    /// Activity as a text for people.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub activity: String,
    /// Name of the worker that executes or executed the task.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "null_as_default")]
    pub worker: String,
}

/// Body of `POST /tasks/{id}/update`.
///
/// The original worker sends its whole activity each time, that is [`Self::activity`], [`Self::current_command_idx`],
/// both percentages and [`Self::metrics`], and status and log where there is something to say; while it aborts a task on
/// request, it sends the log alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskUpdate {
    /// New state of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_status: Option<TaskStatus>,
    /// Activity as a text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<String>,
    /// Progress of the task in percent; always 0 in 2.x.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_progress_percentage: Option<i64>,
    /// Number of the command under way, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_command_idx: Option<i64>,
    /// Progress of that command in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_progress_percentage: Option<i64>,
    /// Lines for the log of the task, each as [`log_line`] makes it, separated by line feeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Durations that the worker measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
}

/// Durations that a worker measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Seconds by the name of what took them.
    #[serde(default, deserialize_with = "null_as_default")]
    pub timing: BTreeMap<String, f64>,
}

/// Answer of `GET /may-i-run/{id}`. One more field, or an answer that is not JSON, ends the original worker's asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MayKeepRunning {
    /// Whether the worker goes on with the task.
    pub may_keep_running: bool,
    /// Reason why it must not, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// State that the worker is asked to take.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "asked_status")]
    pub status_requested: Option<FarmWorkerStatus>,
}

/// Answer with a state that the worker is asked to take: of `GET /status-change`, and of `POST /task` with status 423.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAsked {
    /// State that the worker is to take.
    pub status_requested: FarmWorkerStatus,
}

/// Body of `POST /output-produced`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputProduced {
    /// Paths of the files that a command wrote.
    #[serde(default, deserialize_with = "null_as_default")]
    pub paths: Vec<String>,
}

/// Answer of `GET /as-json`: the whole farm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FarmStatusReport {
    /// Number of workers that are registered.
    pub nr_of_workers: u64,
    /// Number of tasks that the Manager keeps.
    pub nr_of_tasks: u64,
    /// Number of updates that wait for the Flamenco Server.
    pub upstream_queue_size: u64,
    /// Version of the Manager.
    pub version: String,
    /// Workers in the order of their names.
    pub workers: Vec<WorkerDocument>,
    /// Mode of the Manager, always `production`.
    pub manager_mode: String,
    /// Name of the Manager for people.
    pub manager_name: String,
    /// Flamenco Server that gives the Manager its tasks; both texts are empty without one.
    pub server: FlamencoServerDocument,
}

/// Flamenco Server, in a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlamencoServerDocument {
    /// Host name of the Flamenco Server.
    pub name: String,
    /// Address at which it is reached.
    pub url: String,
}

/// Hours at which a worker sleeps, in the local time of the Manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleDocument {
    /// Whether the worker follows the schedule.
    #[serde(default)]
    pub schedule_active: bool,
    /// First two letters of the days of the week, separated by spaces; empty for every day.
    #[serde(default)]
    pub days_of_week: String,
    /// Begin of the sleep as `HH:MM`; empty for midnight.
    #[serde(default)]
    pub time_start: String,
    /// End of the sleep as `HH:MM`; empty for midnight.
    #[serde(default)]
    pub time_end: String,
}

/// Formats a line of a task's log, in UTC with microseconds, without a line feed.
#[must_use]
pub fn log_line(at: DateTime<Utc>, text: impl fmt::Display) -> String {
    format!("{}: {text}", at.to_rfc3339_opts(SecondsFormat::Micros, false))
}

fn registered() -> FarmWorkerStatus {
    FarmWorkerStatus::Registered
}

/// Reads `null` as the empty value: programs in Go write it for an empty list.
fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn known_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TaskStatus>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.as_deref().and_then(TaskStatus::named))
}

/// Reads a state that is asked for; an empty text asks for none.
fn asked_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FarmWorkerStatus>, D::Error> {
    let asked: Option<FarmWorkerStatus> = Option::deserialize(deserializer)?;
    Ok(asked.filter(|status| *status != FarmWorkerStatus::Registered))
}

/// Secret as JSON text. `Secret` itself has no `Serialize`, so that it cannot leave by accident.
mod secret_text {
    use serde::de::{Deserialize, Deserializer, Error as _};
    use serde::ser::{Error as _, Serializer};

    use crate::run::Secret;

    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        let text = std::str::from_utf8(secret.expose()).map_err(|_| S::Error::custom("the secret is no text"))?;
        serializer.serialize_str(text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        // A message of serde's about another kind of value would contain the value.
        let text = String::deserialize(deserializer).map_err(|_| D::Error::custom("the secret is no text"))?;
        Ok(Secret::new(text.into_bytes()))
    }
}
