//! Situation of a task: all that explains why it is where it is.

use super::rows::{self, FarmTask, find_task};
use crate::server::domain::farm::why::{TaskFacts, WorkerFacts};
use crate::server::domain::model::Timestamp;
use crate::server::store::db::{Argument, Reading};
use crate::server::store::{Store, StoreError};
use crate::wire::flamenco::{ObjectId, TaskStatus};

/// Tasks that come first are counted up to this number.
const MAX_BEFORE: u32 = 1000;
/// Parents and workers that are read at most.
const MAX_READ: u32 = 1000;
/// Tasks that wait for a worker of the type and are given away before a task.
const BEFORE: &str = "SELECT count(*) FROM (SELECT 1 FROM fl_task WHERE task_type = ?1 AND blocked = 0
    AND status IN ('queued', 'claimed-by-manager', 'soft-failed')
    AND (job_priority > ?2 OR (job_priority = ?2 AND (priority > ?3 OR (priority = ?3 AND id < ?4)))) LIMIT ?5) AS before";
/// Workers that support a type, with what keeps each from a task of it.
const WORKERS: &str = "SELECT fl_worker.*,
    EXISTS (SELECT 1 FROM fl_failure WHERE fl_failure.task = ?2 AND fl_failure.worker = fl_worker.id) AS has_failed,
    EXISTS (SELECT 1 FROM fl_blacklist WHERE fl_blacklist.worker = fl_worker.id AND fl_blacklist.job = ?3
        AND fl_blacklist.task_type = ?1 AND expires > ?4) AS is_blacklisted,
    EXISTS (SELECT 1 FROM fl_task WHERE fl_task.worker = fl_worker.id
        AND fl_task.status IN ('active', 'cancel-requested')) AS is_busy
    FROM fl_worker_type JOIN fl_worker ON fl_worker.id = fl_worker_type.worker
    WHERE fl_worker_type.task_type = ?1 ORDER BY fl_worker.nickname, fl_worker.id LIMIT ?5";

/// Task with all that explains its state.
#[derive(Clone, Debug)]
pub struct TaskSituation {
    /// Task as it is stored.
    pub task: FarmTask,
    /// Name of its job.
    pub job_name: String,
    /// Last sign of life of its worker about it.
    pub pinged: Option<Timestamp>,
    /// Time of the last change of its state.
    pub updated: Timestamp,
    /// Names of the workers that failed it; ids of those that are gone.
    pub failed_by: Vec<String>,
    /// Facts for the explanation.
    pub facts: TaskFacts,
}

impl Store {
    /// Returns a task with what explains its state.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn farm_task_situation(
        &self,
        task: ObjectId,
        now: Timestamp,
    ) -> Result<Option<TaskSituation>, StoreError> {
        self.read(move |reading| {
            let Some(task) = find_task(reading, task)? else { return Ok(None) };
            let id = task.id.to_string();
            let sql = "SELECT fl_job.name, fl_task.pinged, fl_task.updated FROM fl_task
                JOIN fl_job ON fl_job.id = fl_task.job WHERE fl_task.id = ?";
            let (job_name, pinged, updated) =
                reading.one(sql, &[&id], |row| Ok::<_, StoreError>((row.at(0)?, row.at(1)?, row.at(2)?)))?;
            let sql = "SELECT coalesce(fl_worker.nickname, fl_failure.worker) FROM fl_failure
                LEFT JOIN fl_worker ON fl_worker.id = fl_failure.worker WHERE fl_failure.task = ? ORDER BY 1";
            // A worker that was removed has no name any more, but its failure still counts.
            let failed_by = reading.values(sql, &[&id])?;
            let facts = facts(reading, &task, now)?;
            Ok(Some(TaskSituation { task, job_name, pinged, updated, failed_by, facts }))
        })
        .await
    }
}

fn facts(reading: &Reading<'_>, task: &FarmTask, now: Timestamp) -> Result<TaskFacts, StoreError> {
    let (id, job) = (task.id.to_string(), task.job.to_string());
    let parents = "SELECT fl_task.name, fl_task.status FROM fl_parent JOIN fl_task ON fl_task.id = fl_parent.parent
        WHERE fl_parent.task = ? AND fl_task.status <> ? ORDER BY fl_task.id LIMIT ?";
    let parents = reading.rows(parents, &[&id, &TaskStatus::Completed, &MAX_READ], |row| {
        Ok::<_, StoreError>((row.at(0)?, row.at(1)?))
    })?;
    let workers = reading.rows(WORKERS, &[&task.task_type, &id, &job, &now, &MAX_READ], |row| {
        let worker = rows::worker(row)?;
        Ok::<_, StoreError>(WorkerFacts {
            nickname: worker.nickname,
            standing: worker.standing,
            has_failed: row.get("has_failed")?,
            is_blacklisted: row.get("is_blacklisted")?,
            is_busy: row.get("is_busy")?,
        })
    })?;
    // Counted up to a limit: among a hundred thousand tasks the exact number helps nobody.
    let place: [&dyn Argument; 5] = [&task.task_type, &task.job_priority, &task.priority, &id, &MAX_BEFORE];
    let before = reading.one(BEFORE, &place, |row| row.at::<u32>(0))?;
    Ok(TaskFacts {
        status: task.status,
        task_type: task.task_type.clone(),
        worker_name: task.worker_name.clone(),
        parents,
        workers,
        before,
    })
}
