//! States of tasks: writes them with what follows for other tasks, and takes tasks from workers.

use super::rows::{FarmTask, FarmWorker, find_task};
use crate::server::domain::farm::life::{self, TaskEvent};
use crate::server::domain::model::Timestamp;
use crate::server::store::StoreError;
use crate::server::store::changes::Change;
use crate::server::store::db::{Reading, Transaction};
use crate::wire::flamenco::{ObjectId, TaskStatus};

/// Writes the state of a task, and what it means for the tasks that wait for it. Who calls it publishes the change, once for
/// all tasks: a job may have a hundred thousand.
pub(super) fn write_status(
    transaction: &mut Transaction<'_>,
    task: &FarmTask,
    status: TaskStatus,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = task.id.to_string();
    transaction.write("UPDATE fl_task SET status = ?, updated = ? WHERE id = ?", &[&status, &now, &id])?;
    // The count is kept in the transaction that completes a parent, so that the choice of a task never looks at parents.
    if status == TaskStatus::Completed {
        let sql = "UPDATE fl_task SET blocked = blocked - 1 WHERE id IN (SELECT task FROM fl_parent WHERE parent = ?)";
        transaction.write(sql, &[&id])?;
    }
    Ok(())
}

pub(super) fn write_activity(
    transaction: &mut Transaction<'_>,
    task: ObjectId,
    activity: &str,
) -> Result<(), StoreError> {
    transaction.write("UPDATE fl_task SET activity = ? WHERE id = ?", &[&activity, &task.to_string()])?;
    Ok(())
}

/// Takes a task from its worker, with the reason for people. Returns false if the worker does not execute it.
pub(super) fn release(
    transaction: &mut Transaction<'_>,
    task: &FarmTask,
    worker: &FarmWorker,
    reason: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(status) = life::change(task.status, TaskEvent::Released) else { return Ok(false) };
    write_status(transaction, task, status, now)?;
    if status == TaskStatus::ClaimedByManager {
        let activity = format!("Re-queued task after unassigning from worker {}: {reason}", worker.nickname);
        write_activity(transaction, task.id, &activity)?;
        // The id stays: late lines of the log are the worker's until the task is given to another one.
        let sql = "UPDATE fl_task SET worker_name = '-' WHERE id = ?";
        transaction.write(sql, &[&task.id.to_string()])?;
    }
    Ok(true)
}

/// Takes all tasks from a worker, and returns them.
pub(super) fn release_tasks(
    transaction: &mut Transaction<'_>,
    worker: &FarmWorker,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<ObjectId>, StoreError> {
    // One at most, because a worker that has a task gets no other. All are looked for, so that none can ever be left
    // behind with a worker that is gone.
    let held = held_by(transaction, worker.id)?;
    let mut released = Vec::with_capacity(held.len());
    for task in held {
        if let Some(task) = find_task(transaction, task)?
            && release(transaction, &task, worker, reason, now)?
        {
            released.push(task.id);
        }
    }
    if !released.is_empty() {
        transaction.publish_on_commit([Change::FarmChanged]);
    }
    Ok(released)
}

/// Ends the tasks that a worker was to stop.
pub(super) fn end_canceled(
    transaction: &mut Transaction<'_>,
    worker: ObjectId,
    now: Timestamp,
) -> Result<(), StoreError> {
    for id in held_by(transaction, worker)? {
        let task = find_task(transaction, id)?.filter(|task| task.status == TaskStatus::CancelRequested);
        if let Some(task) = task
            && let Some(status) = life::change(task.status, TaskEvent::Released)
        {
            write_status(transaction, &task, status, now)?;
            transaction.publish_on_commit([Change::FarmChanged]);
        }
    }
    Ok(())
}

fn held_by(reading: &Reading<'_>, worker: ObjectId) -> Result<Vec<ObjectId>, StoreError> {
    let sql = "SELECT id FROM fl_task WHERE worker = ? AND status IN ('active', 'cancel-requested') ORDER BY id";
    Ok(reading.values(sql, &[&worker.to_string()])?)
}
