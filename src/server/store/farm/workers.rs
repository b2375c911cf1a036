//! Workers of the farm: registers them, keeps their states, and what they are asked.

use std::collections::BTreeMap;

use super::rows::{self, Contact, FarmWorker, find_worker};
use super::status::release_tasks;
use crate::server::domain::farm::standing::{FarmStanding, StatusChange, WorkerEvent};
use crate::server::domain::model::Timestamp;
use crate::server::store::changes::Change;
use crate::server::store::db::{Argument, DbError, DbRow, Reading, Transaction};
use crate::server::store::{Store, StoreError};
use crate::wire::flamenco::supervision::FarmWorkerCommand;
use crate::wire::flamenco::{BlacklistDocument, FarmWorkerStatus, ObjectId, ScheduleDocument, SignOn, TaskStatus};

/// Types that workers support.
const TYPES: &str = "SELECT worker, task_type FROM fl_worker_type ORDER BY worker, task_type";
/// Tasks that workers execute.
const TASKS: &str = "SELECT worker, id, job, name, status FROM fl_task
    WHERE status IN ('active', 'cancel-requested') ORDER BY worker, id";
/// Types of tasks of jobs that workers do not get.
const BLACKLIST: &str =
    "SELECT worker, job, task_type FROM fl_blacklist WHERE expires > ? ORDER BY worker, job, task_type";

/// Worker with what it does and supports.
#[derive(Clone, Debug, PartialEq)]
pub struct FarmWorkerOverview {
    /// Worker as it is stored.
    pub worker: FarmWorker,
    /// Types of tasks that it supports.
    pub types: Vec<String>,
    /// Task that it executes.
    pub task: Option<FarmWorkerTask>,
    /// Hours at which it sleeps.
    pub schedule: Option<ScheduleDocument>,
    /// Types of tasks of jobs that it does not get, because it failed too many.
    pub blacklist: Vec<BlacklistDocument>,
}

/// Task that a worker executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FarmWorkerTask {
    /// Id of the task.
    pub id: ObjectId,
    /// Id of its job.
    pub job: ObjectId,
    /// Name of the task.
    pub name: String,
    /// State of the task: active, or asked to stop.
    pub status: TaskStatus,
}

/// Worker that registers, with its id.
#[derive(Clone, Debug)]
pub struct NewFarmWorker {
    /// Id that it gets.
    pub id: ObjectId,
    /// Name under which people know it.
    pub nickname: String,
    /// Operating system of its host.
    pub platform: String,
    /// Types of tasks that it supports.
    pub task_types: Vec<String>,
    /// Check of its secret.
    pub credentials: FarmCredentials,
}

/// Check of a worker's secret, which itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FarmCredentials {
    /// Random text under which the secret is hashed.
    pub salt: String,
    /// Hash of the secret, in hexadecimal digits.
    pub hash: String,
}

/// Result of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// The worker is registered.
    Yes,
    /// As many workers as are allowed are registered.
    TooMany,
}

impl Store {
    /// Registers a worker, unless `limit` of them are registered.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn register_farm_worker(
        &self,
        new: &NewFarmWorker,
        contact: &Contact,
        limit: u32,
    ) -> Result<Registered, StoreError> {
        let (new, contact) = (new.clone(), contact.clone());
        self.change(move |transaction| {
            let sql = "INSERT INTO fl_worker (id, salt, hash, nickname, address, platform, software, status, registered, seen)
                SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9 WHERE (SELECT count(*) FROM fl_worker) < ?10";
            // Counted in the statement that inserts, so that many registrations at once do not exceed the limit.
            let inserted = transaction.execute(
                sql,
                &[
                    &new.id.to_string(),
                    &new.credentials.salt,
                    &new.credentials.hash,
                    &new.nickname,
                    &contact.address,
                    &new.platform,
                    &contact.software,
                    &FarmWorkerStatus::Registered,
                    &contact.at,
                    &limit,
                ],
            )?;
            if inserted == 0 {
                return Ok(Registered::TooMany);
            }
            write_types(transaction, new.id, &new.task_types)?;
            transaction.publish_on_commit([Change::FarmChanged]);
            Ok(Registered::Yes)
        })
        .await
    }

    /// Returns the check of a worker's secret; `None` if there is no such worker.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn farm_credentials(&self, worker: ObjectId) -> Result<Option<FarmCredentials>, StoreError> {
        self.read_short(move |reading| {
            reading.row("SELECT salt, hash FROM fl_worker WHERE id = ?", &[&worker.to_string()], |row| {
                Ok(FarmCredentials { salt: row.at(0)?, hash: row.at(1)? })
            })
        })
        .await
    }

    /// Returns a worker.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn farm_worker(&self, worker: ObjectId) -> Result<Option<FarmWorker>, StoreError> {
        self.read_short(move |reading| find_worker(reading, worker)).await
    }

    /// Returns the first `limit` workers, by name, with what they do and support.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn farm_workers(&self, limit: u32, now: Timestamp) -> Result<Vec<FarmWorkerOverview>, StoreError> {
        self.read(move |reading| {
            // A query for each kind of row and not for each worker: a farm may have ten thousand.
            let mut types = by_worker(reading, TYPES, &[], |row| Ok(row.at(1)?))?;
            let mut tasks = by_worker(reading, TASKS, &[], |row| {
                Ok(FarmWorkerTask { id: row.at(1)?, job: row.at(2)?, name: row.at(3)?, status: row.at(4)? })
            })?;
            let mut blacklist = by_worker(reading, BLACKLIST, &[&now], |row| {
                Ok(BlacklistDocument { job_id: row.at(1)?, task_type: row.at(2)? })
            })?;
            let sql = "SELECT * FROM fl_worker ORDER BY nickname, id LIMIT ?";
            let workers = reading.rows(sql, &[&limit], |row| {
                let schedule = row.get::<Option<String>>("schedule")?;
                let schedule = schedule.map(|text| serde_json::from_str(&text)).transpose();
                Ok::<_, StoreError>((
                    rows::worker(row)?,
                    schedule.map_err(|_| DbError::Strange("schedule".to_owned()))?,
                ))
            })?;
            let with_more = |(worker, schedule): (FarmWorker, _)| FarmWorkerOverview {
                types: types.remove(&worker.id).unwrap_or_default(),
                task: tasks.remove(&worker.id).and_then(|tasks| tasks.into_iter().next()),
                blacklist: blacklist.remove(&worker.id).unwrap_or_default(),
                schedule,
                worker,
            };
            Ok(workers.into_iter().map(with_more).collect())
        })
        .await
    }

    /// Records that a worker has started, with what it says about itself.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn sign_on_farm_worker(
        &self,
        worker: ObjectId,
        said: &SignOn,
        contact: &Contact,
    ) -> Result<(), StoreError> {
        let (said, contact) = (said.clone(), contact.clone());
        self.change(move |transaction| {
            let Some(found) = find_worker(transaction, worker)? else { return Ok(()) };
            write_contact(transaction, &found, found.standing.after(WorkerEvent::SignOn), &contact)?;
            // The original sends what has changed, and nothing where nothing has.
            if !said.nickname.is_empty() {
                let sql = "UPDATE fl_worker SET nickname = ? WHERE id = ?";
                transaction.write(sql, &[&said.nickname, &worker.to_string()])?;
            }
            if !said.supported_task_types.is_empty() {
                write_types(transaction, worker, &said.supported_task_types)?;
            }
            Ok(())
        })
        .await
    }

    /// Records that a worker ends; its tasks wait for another worker. Returns the tasks that it had.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn sign_off_farm_worker(&self, worker: ObjectId, contact: &Contact) -> Result<Vec<ObjectId>, StoreError> {
        let contact = contact.clone();
        self.change(move |transaction| {
            let Some(found) = find_worker(transaction, worker)? else { return Ok(Vec::new()) };
            write_contact(transaction, &found, found.standing.after(WorkerEvent::SignOff), &contact)?;
            release_tasks(transaction, &found, "worker signed off", contact.at)
        })
        .await
    }

    /// Records that a worker has taken a state.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn acknowledge_farm_status(
        &self,
        worker: ObjectId,
        status: FarmWorkerStatus,
        contact: &Contact,
    ) -> Result<(), StoreError> {
        let contact = contact.clone();
        self.change(move |transaction| {
            let Some(found) = find_worker(transaction, worker)? else { return Ok(()) };
            let standing = found.standing.after(WorkerEvent::Acknowledged(status));
            write_contact(transaction, &found, standing, &contact)
        })
        .await
    }

    /// Returns the state that a worker is asked to take, and records the contact.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn farm_status_asked(
        &self,
        worker: ObjectId,
        contact: &Contact,
    ) -> Result<Option<FarmWorkerStatus>, StoreError> {
        let contact = contact.clone();
        self.change(move |transaction| {
            let Some(found) = find_worker(transaction, worker)? else { return Ok(None) };
            write_contact(transaction, &found, found.standing, &contact)?;
            Ok(found.standing.asked.map(|asked| asked.status))
        })
        .await
    }

    /// Asks a worker to take a state. Returns false if there is no such worker.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn ask_farm_worker(&self, worker: ObjectId, change: StatusChange) -> Result<bool, StoreError> {
        self.apply_to_farm_worker(worker, WorkerEvent::Asked(change)).await
    }

    /// Carries out an operator's command to a worker; lazily, it finishes its task first. Returns false if there is no such
    /// worker.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn command_farm_worker(
        &self,
        worker: ObjectId,
        command: FarmWorkerCommand,
        is_lazy: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        match command.status() {
            Some(status) => self.ask_farm_worker(worker, StatusChange { status, is_lazy }).await,
            None => Ok(self.forget_farm_worker(worker, now).await?.is_some()),
        }
    }

    /// Records that an operator has seen that a worker was silent. Returns false if there is no such worker.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn note_farm_timeout_seen(&self, worker: ObjectId) -> Result<bool, StoreError> {
        self.apply_to_farm_worker(worker, WorkerEvent::TimeoutSeen).await
    }

    async fn apply_to_farm_worker(&self, worker: ObjectId, event: WorkerEvent) -> Result<bool, StoreError> {
        self.change(move |transaction| {
            let Some(found) = find_worker(transaction, worker)? else { return Ok(false) };
            write_standing(transaction, worker, found.standing.after(event))?;
            transaction.publish_on_commit([Change::FarmChanged]);
            Ok(true)
        })
        .await
    }

    /// Removes a worker; its tasks wait for another one. Returns the tasks that it had, or `None` if there is no such
    /// worker.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn forget_farm_worker(
        &self,
        worker: ObjectId,
        now: Timestamp,
    ) -> Result<Option<Vec<ObjectId>>, StoreError> {
        self.change(move |transaction| {
            let Some(found) = find_worker(transaction, worker)? else { return Ok(None) };
            Ok(Some(forget(transaction, &found, "worker was removed", now)?))
        })
        .await
    }
}

/// Removes a worker, with the reason why its tasks wait for another one, and returns these.
pub(super) fn forget(
    transaction: &mut Transaction<'_>,
    worker: &FarmWorker,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<ObjectId>, StoreError> {
    // Its tasks first: they would stay active on a worker that nobody knows.
    let released = release_tasks(transaction, worker, reason, now)?;
    transaction.write("DELETE FROM fl_worker WHERE id = ?", &[&worker.id.to_string()])?;
    transaction.publish_on_commit([Change::FarmChanged]);
    Ok(released)
}

/// Reads rows that begin with the id of a worker, and gathers them by it.
fn by_worker<T>(
    reading: &Reading<'_>,
    sql: &str,
    arguments: &[&dyn Argument],
    read: impl Fn(&DbRow<'_>) -> Result<T, StoreError>,
) -> Result<BTreeMap<ObjectId, Vec<T>>, StoreError> {
    let mut found = BTreeMap::<ObjectId, Vec<T>>::new();
    reading.each(sql, arguments, |row| {
        found.entry(row.at(0)?).or_default().push(read(row)?);
        Ok::<_, StoreError>(true)
    })?;
    Ok(found)
}

fn write_types(transaction: &mut Transaction<'_>, worker: ObjectId, types: &[String]) -> Result<(), StoreError> {
    let worker = worker.to_string();
    transaction.write("DELETE FROM fl_worker_type WHERE worker = ?", &[&worker])?;
    for task_type in types {
        let sql = "INSERT INTO fl_worker_type (worker, task_type) VALUES (?, ?) ON CONFLICT DO NOTHING";
        transaction.write(sql, &[&worker, task_type])?;
    }
    Ok(())
}

/// Writes what a contact tells of a worker, with its standing.
pub(super) fn write_contact(
    transaction: &mut Transaction<'_>,
    worker: &FarmWorker,
    standing: FarmStanding,
    contact: &Contact,
) -> Result<(), StoreError> {
    let sql = "UPDATE fl_worker SET address = ?, software = ?, seen = ? WHERE id = ?";
    transaction.write(sql, &[&contact.address, &contact.software, &contact.at, &worker.id.to_string()])?;
    // That a worker was heard of is nothing to publish: all of them are, all the time.
    if standing == worker.standing {
        return Ok(());
    }
    transaction.publish_on_commit([Change::FarmChanged]);
    write_standing(transaction, worker.id, standing)
}

/// Writes the standing of a worker. Who calls it publishes the change.
pub(super) fn write_standing(
    transaction: &mut Transaction<'_>,
    worker: ObjectId,
    standing: FarmStanding,
) -> Result<(), StoreError> {
    let sql = "UPDATE fl_worker SET status = ?, asked = ?, asked_lazily = ? WHERE id = ?";
    let asked = standing.asked.map(|asked| asked.status);
    let is_lazy = standing.asked.is_some_and(|asked| asked.is_lazy);
    transaction.write(sql, &[&standing.status, &asked, &is_lazy, &worker.to_string()])?;
    Ok(())
}
