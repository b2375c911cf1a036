//! Rows of the farm's tables.

use crate::server::domain::farm::standing::{FarmStanding, StatusChange};
use crate::server::domain::model::Timestamp;
use crate::server::store::StoreError;
use crate::server::store::db::{DbError, DbRow, Reading};
use crate::wire::flamenco::{CommandDocument, ObjectId, TaskStatus};

/// Worker of Flamenco, as the Manager knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FarmWorker {
    /// Id under which it authenticates.
    pub id: ObjectId,
    /// Name for people, not unique.
    pub nickname: String,
    /// Address of its last contact, without a port.
    pub address: String,
    /// Operating system: `linux`, `windows` or `darwin`.
    pub platform: String,
    /// `User-Agent` of its last contact.
    pub software: String,
    /// State, and what it is asked.
    pub standing: FarmStanding,
    /// Timestamp of its last contact.
    pub seen: Timestamp,
}

/// Task, as the Manager keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct FarmTask {
    /// Id of the task.
    pub id: ObjectId,
    /// Id of its job.
    pub job: ObjectId,
    /// Type of its job.
    pub job_type: String,
    /// Name for people, unique in the job.
    pub name: String,
    /// Type that a worker must support.
    pub task_type: String,
    /// State of the task.
    pub status: TaskStatus,
    /// Priority of its job.
    pub job_priority: i64,
    /// Priority within its job.
    pub priority: i64,
    /// Number of its parents that are not completed.
    pub blocked: u32,
    /// Commands as they were submitted.
    pub commands: Vec<CommandDocument>,
    /// Worker that has it, or had it last.
    pub worker: Option<ObjectId>,
    /// Name of the worker that has it, `-` after it was taken from one.
    pub worker_name: String,
    /// Activity as a text for people.
    pub activity: String,
}

/// Contact of a worker: when, from where, with which program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Time of the contact.
    pub at: Timestamp,
    /// Address of the worker, without a port.
    pub address: String,
    /// Value of its `User-Agent` header.
    pub software: String,
}

/// Columns of a task with its job.
macro_rules! task_sql {
    ($condition:literal) => {
        concat!(
            "SELECT fl_task.id, fl_task.job, fl_job.job_type, fl_task.name, fl_task.task_type, fl_task.status,
                 fl_task.job_priority, fl_task.priority, fl_task.blocked, fl_task.commands, fl_task.worker,
                 fl_task.worker_name, fl_task.activity
             FROM fl_task JOIN fl_job ON fl_job.id = fl_task.job WHERE ",
            $condition
        )
    };
}
pub(super) use task_sql;

pub(super) fn task(row: &DbRow<'_>) -> Result<FarmTask, StoreError> {
    let commands = serde_json::from_str(&row.text("commands")?);
    Ok(FarmTask {
        id: row.get("id")?,
        job: row.get("job")?,
        job_type: row.get("job_type")?,
        name: row.get("name")?,
        task_type: row.get("task_type")?,
        status: row.get("status")?,
        job_priority: row.get("job_priority")?,
        priority: row.get("priority")?,
        blocked: row.get("blocked")?,
        commands: commands.map_err(|_| DbError::Strange("commands".to_owned()))?,
        worker: row.get("worker")?,
        worker_name: row.get("worker_name")?,
        activity: row.get("activity")?,
    })
}

pub(super) fn worker(row: &DbRow<'_>) -> Result<FarmWorker, StoreError> {
    let is_lazy = row.get("asked_lazily")?;
    let asked = row.get::<Option<_>>("asked")?.map(|status| StatusChange { status, is_lazy });
    Ok(FarmWorker {
        id: row.get("id")?,
        nickname: row.get("nickname")?,
        address: row.get("address")?,
        platform: row.get("platform")?,
        software: row.get("software")?,
        standing: FarmStanding { status: row.get("status")?, asked },
        seen: row.get("seen")?,
    })
}

pub(super) fn find_task(reading: &Reading<'_>, id: ObjectId) -> Result<Option<FarmTask>, StoreError> {
    reading.row(task_sql!("fl_task.id = ?"), &[&id.to_string()], task)
}

pub(super) fn find_worker(reading: &Reading<'_>, id: ObjectId) -> Result<Option<FarmWorker>, StoreError> {
    reading.row("SELECT * FROM fl_worker WHERE id = ?", &[&id.to_string()], worker)
}
