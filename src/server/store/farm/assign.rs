//! Assignment of tasks: which task a worker gets, decided and written in one transaction.

use super::rows::{Contact, FarmTask, FarmWorker, find_task, find_worker};
use super::status::{end_canceled, release_tasks, write_status};
use super::workers::write_contact;
use crate::server::domain::farm::choose::{Candidate, TaskChoice, choose};
use crate::server::domain::farm::life::{self, TaskEvent};
use crate::server::domain::farm::standing::WorkerEvent;
use crate::server::domain::model::Timestamp;
use crate::server::store::changes::Change;
use crate::server::store::db::{DbError, Reading, Transaction};
use crate::server::store::{Store, StoreError};
use crate::wire::flamenco::{FarmWorkerStatus, ObjectId};

/// First task of a type that may be given to a worker. The index has exactly these tasks in this order, so that tasks that
/// wait for their parents cost nothing.
const FIRST_OF_TYPE: &str = "SELECT id, job_priority, priority FROM fl_task
    WHERE task_type = ?1 AND blocked = 0 AND status IN ('queued', 'claimed-by-manager', 'soft-failed')
    AND NOT EXISTS (SELECT 1 FROM fl_failure WHERE fl_failure.task = fl_task.id AND fl_failure.worker = ?2)
    AND NOT EXISTS (SELECT 1 FROM fl_blacklist WHERE fl_blacklist.worker = ?2 AND fl_blacklist.job = fl_task.job
        AND fl_blacklist.task_type = fl_task.task_type AND expires > ?3)
    ORDER BY job_priority DESC, priority DESC, id LIMIT 1";

/// Answer to a worker that asks for a task.
#[derive(Clone, Debug, PartialEq)]
pub enum Assignment {
    /// There is no such worker.
    UnknownWorker,
    /// It is asked to take a state first.
    StatusAsked(FarmWorkerStatus),
    /// It supports no type of task.
    NoTypes,
    /// There is no task for it.
    Nothing,
    /// The task that it already has.
    Again(FarmWorker, FarmTask),
    /// A task that is its own from now on.
    Given(FarmWorker, FarmTask),
}

impl Store {
    /// Gives a worker a task, the one it already has, or none.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn assign_farm_task(&self, worker: ObjectId, contact: &Contact) -> Result<Assignment, StoreError> {
        let contact = contact.clone();
        self.change(move |transaction| {
            let Some(mut found) = find_worker(transaction, worker)? else { return Ok(Assignment::UnknownWorker) };
            let standing = found.standing.after(WorkerEvent::Contact);
            write_contact(transaction, &found, standing, &contact)?;
            found.standing = standing;
            // The contact counts also where there is no task: a worker that finds none is not silent.
            // It executes nothing, or it would not ask: what it was to stop has stopped.
            end_canceled(transaction, worker, contact.at)?;
            assign(transaction, found, contact.at)
        })
        .await
    }
}

fn assign(transaction: &mut Transaction<'_>, worker: FarmWorker, now: Timestamp) -> Result<Assignment, StoreError> {
    let id = worker.id.to_string();
    let types = "SELECT task_type FROM fl_worker_type WHERE worker = ?";
    let types: Vec<String> = transaction.values(types, &[&id])?;
    let has =
        "SELECT id FROM fl_task WHERE worker = ? AND status IN ('active', 'cancel-requested') ORDER BY id LIMIT 1";
    let has = transaction.value(has, &[&id])?;
    let mut candidates = Vec::with_capacity(types.len());
    // Where it has a task or a request is open, none of them counts.
    if has.is_none() && worker.standing.asked.is_none() {
        for task_type in &types {
            candidates.extend(first_of_type(transaction, task_type, &id, now)?);
        }
    }
    match choose(&worker.standing, &types, has, candidates) {
        TaskChoice::StatusAsked(status) => {
            // A task whose answer was lost would stay with a worker that sleeps.
            release_tasks(transaction, &worker, "worker is asked to change its status", now)?;
            Ok(Assignment::StatusAsked(status))
        }
        TaskChoice::NoTypes => Ok(Assignment::NoTypes),
        TaskChoice::Nothing => Ok(Assignment::Nothing),
        TaskChoice::Again(task) => Ok(Assignment::Again(worker, existing(transaction, task)?)),
        TaskChoice::Assign(task) => give(transaction, worker, task, now),
    }
}

fn first_of_type(
    reading: &Reading<'_>,
    task_type: &str,
    worker: &str,
    now: Timestamp,
) -> Result<Option<Candidate>, StoreError> {
    reading.row(FIRST_OF_TYPE, &[&task_type, &worker, &now], |row| {
        Ok(Candidate { task: row.at(0)?, job_priority: row.at(1)?, priority: row.at(2)? })
    })
}

fn give(
    transaction: &mut Transaction<'_>,
    worker: FarmWorker,
    task: ObjectId,
    now: Timestamp,
) -> Result<Assignment, StoreError> {
    let mut task = existing(transaction, task)?;
    // The statement has found it schedulable in this transaction; the rule of its life has the last word.
    let Some(status) = life::change(task.status, TaskEvent::Assigned) else { return Ok(Assignment::Nothing) };
    write_status(transaction, &task, status, now)?;
    transaction.publish_on_commit([Change::FarmChanged]);
    // Written in the same transaction as the choice: nobody else can have chosen it, at this server or another.
    // The digest of the last update goes: the next worker may well begin with the same words.
    let sql = "UPDATE fl_task SET worker = ?, worker_name = ?, pinged = ?, last_update = NULL WHERE id = ?";
    transaction.write(sql, &[&worker.id.to_string(), &worker.nickname, &now, &task.id.to_string()])?;
    task.status = status;
    task.worker = Some(worker.id);
    task.worker_name.clone_from(&worker.nickname);
    Ok(Assignment::Given(worker, task))
}

fn existing(reading: &Reading<'_>, task: ObjectId) -> Result<FarmTask, StoreError> {
    find_task(reading, task)?.ok_or_else(|| DbError::Strange("a task".to_owned()).into())
}
