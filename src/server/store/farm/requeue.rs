//! Tasks that operators want executed again.

use super::rows::{FarmTask, find_task, task, task_sql};
use super::status::{write_activity, write_status};
use crate::server::domain::farm::life::{self, TaskEvent};
use crate::server::domain::model::Timestamp;
use crate::server::store::db::{Reading, Transaction};
use crate::server::store::{Store, StoreError};
use crate::wire::flamenco::{ObjectId, TaskStatus};

impl Store {
    /// Puts a task into the queue again, or all tasks of a job that failed or were cancelled. Every worker may try them, also
    /// those that failed them. Returns the number of tasks; `None` if there is neither such a task nor such a job.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn requeue_farm_tasks(&self, id: ObjectId, now: Timestamp) -> Result<Option<u64>, StoreError> {
        self.change(move |transaction| {
            // The ids of tasks and jobs come from one source, so an id names one of them at most.
            let tasks = match find_task(transaction, id)? {
                Some(task) => vec![task],
                None => match failed_tasks(transaction, id)? {
                    Some(tasks) => tasks,
                    None => return Ok(None),
                },
            };
            let mut requeued = 0;
            for task in &tasks {
                requeued += u64::from(requeue(transaction, task, now)?);
            }
            Ok(Some(requeued))
        })
        .await
    }
}

/// Returns the tasks of a job that failed, on one worker or for good, or were cancelled; `None` if there is no such job.
fn failed_tasks(reading: &Reading<'_>, job: ObjectId) -> Result<Option<Vec<FarmTask>>, StoreError> {
    let id = job.to_string();
    if reading.value::<i64>("SELECT 1 FROM fl_job WHERE id = ?", &[&id])?.is_none() {
        return Ok(None);
    }
    let sql =
        task_sql!("fl_task.job = ? AND fl_task.status IN ('soft-failed', 'failed', 'canceled') ORDER BY fl_task.id");
    Ok(Some(reading.rows(sql, &[&id], task)?))
}

/// Returns false if the task waits or is executed.
fn requeue(transaction: &mut Transaction<'_>, task: &FarmTask, now: Timestamp) -> Result<bool, StoreError> {
    let Some(status) = life::change(task.status, TaskEvent::Requeued) else { return Ok(false) };
    let id = task.id.to_string();
    if task.status == TaskStatus::Completed {
        // Its children count it among those that they wait for again.
        let sql = "UPDATE fl_task SET blocked = blocked + 1 WHERE id IN (SELECT task FROM fl_parent WHERE parent = ?)";
        transaction.execute(sql, &[&id])?;
    }
    write_status(transaction, task, status, now)?;
    write_activity(transaction, task.id, "Re-queued task by request of an operator")?;
    // Whoever requeues has mended something, maybe on the worker that failed it.
    transaction.execute("DELETE FROM fl_failure WHERE task = ?", &[&id])?;
    let sql = "DELETE FROM fl_blacklist WHERE job = ? AND task_type = ?";
    transaction.execute(sql, &[&task.job.to_string(), &task.task_type])?;
    Ok(true)
}
