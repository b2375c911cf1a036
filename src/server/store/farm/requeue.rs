//! Tasks that operators want executed again.

use super::rows::{FarmTask, find_task};
use super::status::{write_activity, write_status};
use crate::server::domain::farm::life::{self, TaskEvent};
use crate::server::domain::model::Timestamp;
use crate::server::store::changes::Change;
use crate::server::store::db::Transaction;
use crate::server::store::{Store, StoreError};
use crate::wire::flamenco::{ObjectId, TaskStatus};

/// Activity of a task that waits again.
const ACTIVITY: &str = "Re-queued task by request of an operator";

impl Store {
    /// Puts a task into the queue again, or all tasks of a job that failed or were cancelled. Every worker may try them, also
    /// those that failed them. Returns the number of tasks; `None` if there is neither such a task nor such a job.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn requeue_farm_tasks(&self, id: ObjectId, now: Timestamp) -> Result<Option<u64>, StoreError> {
        self.change(move |transaction| {
            // The ids of tasks and jobs come from one source, so an id names one of them at most.
            let requeued = match find_task(transaction, id)? {
                Some(task) => Some(requeue_task(transaction, &task, now)?),
                None => requeue_job(transaction, id, now)?,
            };
            if requeued > Some(0) {
                transaction.publish_on_commit([Change::FarmChanged]);
            }
            Ok(requeued)
        })
        .await
    }
}

/// Returns 0 if the task waits or is executed, and 1 otherwise.
fn requeue_task(transaction: &mut Transaction<'_>, task: &FarmTask, now: Timestamp) -> Result<u64, StoreError> {
    let Some(status) = life::change(task.status, TaskEvent::Requeued) else { return Ok(0) };
    let id = task.id.to_string();
    if task.status == TaskStatus::Completed {
        // Its children count it among those that they wait for again.
        let sql = "UPDATE fl_task SET blocked = blocked + 1 WHERE id IN (SELECT task FROM fl_parent WHERE parent = ?)";
        transaction.write(sql, &[&id])?;
    }
    write_status(transaction, task, status, now)?;
    write_activity(transaction, task.id, ACTIVITY)?;
    // Whoever requeues has mended something, maybe on the worker that failed it.
    transaction.write("DELETE FROM fl_failure WHERE task = ?", &[&id])?;
    let sql = "DELETE FROM fl_blacklist WHERE job = ? AND task_type = ?";
    transaction.write(sql, &[&task.job.to_string(), &task.task_type])?;
    Ok(1)
}

/// Returns the number of tasks; `None` if there is no such job.
fn requeue_job(transaction: &mut Transaction<'_>, job: ObjectId, now: Timestamp) -> Result<Option<u64>, StoreError> {
    let id = job.to_string();
    if transaction.value::<i64>("SELECT 1 FROM fl_job WHERE id = ?", &[&id])?.is_none() {
        return Ok(None);
    }
    let mut requeued = 0;
    // All tasks of one state at once: a job may have very many, and nobody else writes meanwhile.
    for from in TaskStatus::ALL {
        // What is completed need not be done again because something else failed.
        let to = life::change(from, TaskEvent::Requeued).filter(|_| from != TaskStatus::Completed);
        let Some(to) = to else { continue };
        let sql = "DELETE FROM fl_failure WHERE task IN (SELECT id FROM fl_task WHERE job = ? AND status = ?)";
        transaction.write(sql, &[&id, &from])?;
        let sql = "UPDATE fl_task SET status = ?, updated = ?, activity = ? WHERE job = ? AND status = ?";
        requeued += transaction.execute(sql, &[&to, &now, &ACTIVITY, &id, &from])?;
    }
    if requeued > 0 {
        transaction.write("DELETE FROM fl_blacklist WHERE job = ?", &[&id])?;
    }
    Ok(Some(requeued))
}
