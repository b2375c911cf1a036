//! Silence on the farm: finds the workers and tasks of which nothing was heard for too long, and tasks that are old.

use super::rows::{self, FarmWorker, find_task, find_worker, task_sql};
use super::status::{release_tasks, write_activity, write_status};
use super::workers::{forget, write_standing};
use crate::server::domain::farm::life::{self, TaskEvent};
use crate::server::domain::farm::standing::WorkerEvent;
use crate::server::domain::farm::timeouts::Cutoffs;
use crate::server::domain::model::Timestamp;
use crate::server::store::changes::Change;
use crate::server::store::db::{Reading, Transaction};
use crate::server::store::{Store, StoreError};
use crate::wire::flamenco::{FarmWorkerStatus, ObjectId, TaskStatus};

/// Most workers, tasks or old tasks that one transaction treats; the next look takes the others.
const AT_ONCE: u32 = 1000;

/// Oldest signs of life on the farm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FarmSilence {
    /// Oldest last contact of a worker that is awake.
    pub worker: Option<Timestamp>,
    /// Oldest last sign of life about a task that is executed.
    pub task: Option<Timestamp>,
    /// Whether there is something to do: a time-out to apply, or an old task to remove.
    pub needs_change: bool,
}

/// Result of a look at the farm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Workers that were silent for too long, with the tasks that were taken from them.
    pub silent_workers: Vec<(ObjectId, Vec<ObjectId>)>,
    /// Tasks of which nothing was heard for too long.
    pub silent_tasks: Vec<ObjectId>,
    /// Number of old tasks that were removed.
    pub removed_tasks: u64,
}

impl Store {
    /// Returns the oldest signs of life on the farm, and whether one of them, or a task's end, is before its cutoff.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn farm_silence(&self, cutoffs: &Cutoffs) -> Result<FarmSilence, StoreError> {
        let cutoffs = *cutoffs;
        self.read_short(move |reading| {
            let worker = "SELECT min(seen) FROM fl_worker WHERE status = 'awake'";
            let task = "SELECT min(pinged) FROM fl_task WHERE status IN ('active', 'cancel-requested')";
            let over = "SELECT min(updated) FROM fl_task WHERE status IN ('completed', 'failed', 'canceled')";
            let oldest = |sql: &str| Ok::<_, StoreError>(reading.value::<Option<Timestamp>>(sql, &[])?.flatten());
            let (worker, task, over) = (oldest(worker)?, oldest(task)?, oldest(over)?);
            let is_old = |seen: Option<Timestamp>, cutoff: Timestamp| seen.is_some_and(|seen| seen < cutoff);
            let needs_change = is_old(worker, cutoffs.worker)
                || is_old(task, cutoffs.task)
                || cutoffs.remove.is_some_and(|cutoff| is_old(over, cutoff));
            Ok(FarmSilence { worker, task, needs_change })
        })
        .await
    }

    /// Removes workers that are in one of these states and were heard of last before a time. Returns them.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn remove_old_farm_workers(
        &self,
        statuses: &[FarmWorkerStatus],
        before: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<ObjectId>, StoreError> {
        let statuses = statuses.to_vec();
        let read = statuses.clone();
        // Most of the time there are none, and a look costs less than a change.
        let old = self.read_short(move |reading| old_workers(reading, &read, before)).await?;
        if old.is_empty() {
            return Ok(Vec::new());
        }
        self.change(move |transaction| {
            // Looked for again: one of them may have come back since.
            let old = old_workers(transaction, &statuses, before)?;
            for worker in &old {
                forget(transaction, worker, "worker was removed", now)?;
            }
            Ok(old.into_iter().map(|worker| worker.id).collect())
        })
        .await
    }

    /// Applies the time-outs: gives the tasks of silent workers to others, fails silent tasks, removes old ones.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn watch_farm(&self, cutoffs: Cutoffs, now: Timestamp) -> Result<Watched, StoreError> {
        self.change(move |transaction| {
            transaction.publish_on_commit([Change::FarmChanged]);
            Ok(Watched {
                silent_workers: time_out_workers(transaction, &cutoffs, now)?,
                silent_tasks: time_out_tasks(transaction, &cutoffs, now)?,
                removed_tasks: remove_old_tasks(transaction, &cutoffs)?,
            })
        })
        .await
    }
}

fn old_workers(
    reading: &Reading<'_>,
    statuses: &[FarmWorkerStatus],
    before: Timestamp,
) -> Result<Vec<FarmWorker>, StoreError> {
    // A question for each state: there are four at most, and a list of any length is no statement that can be prepared.
    let sql = "SELECT * FROM fl_worker WHERE status = ? AND seen < ? ORDER BY seen LIMIT ?";
    let mut old = Vec::new();
    for status in statuses {
        old.extend(reading.rows(sql, &[status, &before, &AT_ONCE], rows::worker)?);
    }
    Ok(old)
}

fn time_out_workers(
    transaction: &mut Transaction<'_>,
    cutoffs: &Cutoffs,
    now: Timestamp,
) -> Result<Vec<(ObjectId, Vec<ObjectId>)>, StoreError> {
    let sql = "SELECT * FROM fl_worker WHERE status = 'awake' AND seen < ? ORDER BY seen LIMIT ?";
    // Looked for again in the transaction that writes: a worker may have been heard since.
    let silent = transaction.rows(sql, &[&cutoffs.worker, &AT_ONCE], rows::worker)?;
    let mut timed_out = Vec::with_capacity(silent.len());
    for worker in silent {
        write_standing(transaction, worker.id, worker.standing.after(WorkerEvent::Silent))?;
        let released = release_tasks(transaction, &worker, "worker timed out", now)?;
        timed_out.push((worker.id, released));
    }
    Ok(timed_out)
}

fn time_out_tasks(
    transaction: &mut Transaction<'_>,
    cutoffs: &Cutoffs,
    now: Timestamp,
) -> Result<Vec<ObjectId>, StoreError> {
    let sql = task_sql!(
        "fl_task.status IN ('active', 'cancel-requested') AND fl_task.pinged < ?1 ORDER BY fl_task.pinged LIMIT ?2"
    );
    let silent = transaction.rows(sql, &[&cutoffs.task, &AT_ONCE], rows::task)?;
    let mut timed_out = Vec::with_capacity(silent.len());
    for task in silent {
        let Some(status) = life::change(task.status, TaskEvent::TimedOut) else { continue };
        write_status(transaction, &task, status, now)?;
        write_activity(transaction, task.id, &format!("Task timed out on worker {}", task.worker_name))?;
        // The worker is no better than its task, even if it asks for others.
        if let Some(worker) = task.worker.map(|id| find_worker(transaction, id)).transpose()?.flatten() {
            write_standing(transaction, worker.id, worker.standing.after(WorkerEvent::Silent))?;
        }
        timed_out.push(task.id);
    }
    Ok(timed_out)
}

/// Removes tasks that are over and old. A parent that is gone counts as completed.
fn remove_old_tasks(transaction: &mut Transaction<'_>, cutoffs: &Cutoffs) -> Result<u64, StoreError> {
    let Some(before) = cutoffs.remove else { return Ok(0) };
    let sql = "SELECT id FROM fl_task WHERE status IN ('completed', 'failed', 'canceled') AND updated < ?
        ORDER BY updated LIMIT ?";
    let old: Vec<ObjectId> = transaction.values(sql, &[&before, &AT_ONCE])?;
    let mut removed = 0;
    for id in &old {
        let Some(task) = find_task(transaction, *id)? else { continue };
        let id = id.to_string();
        // A completed one was counted off when it was completed.
        if task.status != TaskStatus::Completed {
            let sql =
                "UPDATE fl_task SET blocked = blocked - 1 WHERE id IN (SELECT task FROM fl_parent WHERE parent = ?)";
            transaction.write(sql, &[&id])?;
        }
        removed += transaction.execute("DELETE FROM fl_task WHERE id = ?", &[&id])?;
        let sql = "DELETE FROM fl_job WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM fl_task WHERE job = ?1)";
        transaction.write(sql, &[&task.job.to_string()])?;
    }
    Ok(removed)
}
