//! Updates of tasks by their workers: progress, results and failures, tasks given back, and the question whether to go on.

use std::time::Duration;

use super::rows::{Contact, FarmTask, find_task, find_worker};
use super::status::{release, write_activity, write_status};
use super::workers::write_contact;
use crate::server::domain::farm::life::{self, TaskEvent, TaskReport};
use crate::server::domain::farm::softfail::{
    BLACKLISTED_FOR, FailureEnd, FailureFacts, FailureLimits, FailureVerdict, judge,
};
use crate::server::domain::farm::standing::WorkerEvent;
use crate::server::domain::model::Timestamp;
use crate::server::store::changes::Change;
use crate::server::store::db::{Reading, Transaction};
use crate::server::store::{Store, StoreError};
use crate::wire::flamenco::{MayKeepRunning, ObjectId, TaskStatus};

/// Time in which the same update of the same worker is the same one, sent again because its answer was lost.
const REPEATED_WITHIN: Duration = Duration::from_secs(600);
/// Workers that may try a task: they support its type, are not blacklisted for it, and have not failed it.
const UNTRIED: &str = "SELECT count(*) FROM fl_worker_type
    WHERE fl_worker_type.task_type = ?1 AND fl_worker_type.worker <> ?2
    AND NOT EXISTS (SELECT 1 FROM fl_blacklist WHERE fl_blacklist.worker = fl_worker_type.worker
        AND fl_blacklist.job = ?3 AND fl_blacklist.task_type = ?1 AND expires > ?4)
    AND NOT EXISTS (SELECT 1 FROM fl_failure WHERE fl_failure.task = ?5 AND fl_failure.worker = fl_worker_type.worker)";
/// Fails the tasks of a type of a job that have failed before and that none of the workers may try any more.
const FAIL_WAITING: &str = "UPDATE fl_task SET status = 'failed', updated = ?4, activity = ?5
    WHERE job = ?1 AND task_type = ?2 AND status = 'soft-failed' AND id <> ?6 AND NOT EXISTS
    (SELECT 1 FROM fl_worker_type WHERE fl_worker_type.task_type = ?2
        AND NOT EXISTS (SELECT 1 FROM fl_blacklist WHERE fl_blacklist.worker = fl_worker_type.worker
            AND fl_blacklist.job = ?1 AND fl_blacklist.task_type = ?2 AND expires > ?3)
        AND NOT EXISTS
            (SELECT 1 FROM fl_failure WHERE fl_failure.task = fl_task.id AND fl_failure.worker = fl_worker_type.worker))";

/// Verdict on an update before its log is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateAdmission {
    /// There is no such task.
    Unknown,
    /// The task was last given to another worker.
    OfAnother,
    /// The update was taken before.
    Repeated,
    /// The update is new; the job of its task.
    New(ObjectId),
}

/// Update of a task, without the log.
#[derive(Clone, Debug)]
pub struct FarmUpdate {
    /// Task that it is about.
    pub task: ObjectId,
    /// Worker that sent it.
    pub worker: ObjectId,
    /// Digest of the whole update.
    pub digest: String,
    /// State that the worker reports, if it does.
    pub status: Option<TaskStatus>,
    /// Activity that it reports, if it does.
    pub activity: Option<String>,
    /// Time of its arrival.
    pub at: Timestamp,
}

/// Effect of an update on its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateOutcome {
    /// There is no such task.
    Unknown,
    /// The task was last given to another worker.
    OfAnother,
    /// The task is not executed any more: only the log counts.
    Dropped,
    /// The update was recorded; the state of the task.
    Recorded(TaskStatus),
}

impl Store {
    /// Judges an update of a task by a worker before anything of it is kept.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn admit_farm_update(
        &self,
        worker: ObjectId,
        task: ObjectId,
        digest: &str,
        now: Timestamp,
    ) -> Result<UpdateAdmission, StoreError> {
        let digest = digest.to_owned();
        let sql = "SELECT job, worker, last_update, last_update_at FROM fl_task WHERE id = ?";
        self.read_short(move |reading| {
            let found = reading.row(sql, &[&task.to_string()], |row| {
                if row.at::<Option<ObjectId>>(1)? != Some(worker) {
                    return Ok(UpdateAdmission::OfAnother);
                }
                let is_same = row.at::<Option<String>>(2)?.as_ref() == Some(&digest);
                let is_recent = row.at::<Option<Timestamp>>(3)?.is_some_and(|at| at + REPEATED_WITHIN > now);
                let job = row.at(0)?;
                Ok::<_, StoreError>(if is_same && is_recent {
                    UpdateAdmission::Repeated
                } else {
                    UpdateAdmission::New(job)
                })
            })?;
            Ok(found.unwrap_or(UpdateAdmission::Unknown))
        })
        .await
    }

    /// Records an update of a task by the worker that has it.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn record_farm_update(
        &self,
        update: &FarmUpdate,
        limits: FailureLimits,
    ) -> Result<UpdateOutcome, StoreError> {
        let update = update.clone();
        self.change(move |transaction| {
            // Asked again although the update was admitted: the task may have gone to another worker meanwhile.
            let Some(task) = find_task(transaction, update.task)? else { return Ok(UpdateOutcome::Unknown) };
            if task.worker != Some(update.worker) {
                return Ok(UpdateOutcome::OfAnother);
            }
            let sql = "UPDATE fl_task SET last_update = ?, last_update_at = ? WHERE id = ?";
            transaction.write(sql, &[&update.digest, &update.at, &task.id.to_string()])?;
            transaction.publish_on_commit([Change::FarmChanged]);
            record(transaction, &task, &update, &limits)
        })
        .await
    }

    /// Takes a task from the worker that gives it back; `None` if there is no such task. Returns whether it was the worker's
    /// and executed.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn give_back_farm_task(
        &self,
        worker: ObjectId,
        task: ObjectId,
        now: Timestamp,
    ) -> Result<Option<bool>, StoreError> {
        self.change(move |transaction| {
            let Some(found) = find_task(transaction, task)? else { return Ok(None) };
            let Some(holder) = find_worker(transaction, worker)?.filter(|_| found.worker == Some(worker)) else {
                return Ok(Some(false));
            };
            let was_taken = release(transaction, &found, &holder, "worker returned the task", now)?;
            transaction.publish_on_commit(was_taken.then_some(Change::FarmChanged));
            Ok(Some(was_taken))
        })
        .await
    }

    /// Decides whether a worker may go on with a task, and records that it asked.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn may_keep_running(
        &self,
        worker: ObjectId,
        task: ObjectId,
        contact: &Contact,
    ) -> Result<MayKeepRunning, StoreError> {
        let contact = contact.clone();
        self.change(move |transaction| {
            let sql = "SELECT status, worker FROM fl_task WHERE id = ?";
            let found = transaction
                .row(sql, &[&task.to_string()], |row| Ok::<_, StoreError>((row.at(0)?, row.at::<Option<_>>(1)?)))?;
            let Some(asker) = find_worker(transaction, worker)? else {
                // It was removed after it authenticated, and its tasks with it were taken.
                let reason = Some("worker is not registered".to_owned());
                return Ok(MayKeepRunning { may_keep_running: false, reason, status_requested: None });
            };
            let standing = asker.standing.after(WorkerEvent::Contact);
            write_contact(transaction, &asker, standing, &contact)?;
            let answer = standing.may_keep_running(worker, found);
            // A worker that lost its task while it was silent may ask for hours, and must not keep it from failing
            // elsewhere.
            // Only the worker that has it keeps a task alive by asking.
            if answer.may_keep_running {
                let sql = "UPDATE fl_task SET pinged = ? WHERE id = ?";
                transaction.write(sql, &[&contact.at, &task.to_string()])?;
            }
            Ok(answer)
        })
        .await
    }
}

fn record(
    transaction: &mut Transaction<'_>,
    task: &FarmTask,
    update: &FarmUpdate,
    limits: &FailureLimits,
) -> Result<UpdateOutcome, StoreError> {
    let report = match update.status {
        None | Some(TaskStatus::Active) => TaskReport::Active,
        Some(TaskStatus::Completed) => TaskReport::Completed,
        Some(TaskStatus::Canceled) => TaskReport::Canceled,
        // A failure of a task that it does not execute counts neither against the worker nor against the task.
        Some(TaskStatus::Failed) if task.status == TaskStatus::Active => {
            TaskReport::Failed(record_failure(transaction, task, update, limits)?)
        }
        Some(TaskStatus::Failed) => TaskReport::Failed(FailureEnd::Final),
        // The other states are the Manager's to decide on.
        Some(_) => return Ok(UpdateOutcome::Dropped),
    };
    let Some(status) = life::change(task.status, TaskEvent::Reported(report)) else {
        return Ok(UpdateOutcome::Dropped);
    };
    write_status(transaction, task, status, update.at)?;
    // Whoever reports of a task is at it.
    let sql = "UPDATE fl_task SET pinged = ? WHERE id = ?";
    transaction.write(sql, &[&update.at, &task.id.to_string()])?;
    if let Some(activity) = &update.activity {
        write_activity(transaction, task.id, activity)?;
    }
    Ok(UpdateOutcome::Recorded(status))
}

/// Records that a worker failed a task, and what follows for other tasks.
fn record_failure(
    transaction: &mut Transaction<'_>,
    task: &FarmTask,
    update: &FarmUpdate,
    limits: &FailureLimits,
) -> Result<FailureEnd, StoreError> {
    let (id, job, worker) = (task.id.to_string(), task.job.to_string(), update.worker.to_string());
    let sql = "INSERT INTO fl_failure (task, worker) VALUES (?, ?) ON CONFLICT DO NOTHING";
    transaction.write(sql, &[&id, &worker])?;
    let FailureVerdict { blacklists, end } = judge(&failure_facts(transaction, task, &worker, update.at)?, limits);
    if blacklists {
        let sql = "INSERT INTO fl_blacklist (worker, job, task_type, expires) VALUES (?, ?, ?, ?)
            ON CONFLICT (worker, job, task_type) DO UPDATE SET expires = excluded.expires";
        transaction.write(sql, &[&worker, &job, &task.task_type, &(update.at + BLACKLISTED_FOR)])?;
        let activity = "No worker is left that may try this task.";
        transaction.write(FAIL_WAITING, &[&job, &task.task_type, &update.at, &update.at, &activity, &id])?;
    }
    Ok(end)
}

fn failure_facts(
    reading: &Reading<'_>,
    task: &FarmTask,
    worker: &str,
    now: Timestamp,
) -> Result<FailureFacts, StoreError> {
    let (id, job) = (task.id.to_string(), task.job.to_string());
    let count = |sql: &str, arguments: &[_]| reading.one(sql, arguments, |row| row.at::<u32>(0));
    // With this one, which is not written yet: the count decides what is written.
    let by_worker =
        "SELECT count(*) FROM fl_task WHERE job = ? AND task_type = ? AND status IN ('failed', 'soft-failed')
        AND worker = ?";
    Ok(FailureFacts {
        failed_by_worker: count(by_worker, &[&job, &task.task_type, &worker])? + 1,
        failed_on_workers: count("SELECT count(*) FROM fl_failure WHERE task = ?", &[&id])?,
        others_untried: count(UNTRIED, &[&task.task_type, &worker, &job, &now, &id])?,
    })
}
