//! Jobs of the farm: takes submitted ones, lists them, and cancels their tasks.

use std::collections::BTreeMap;

use super::rows::{FarmTask, find_task, task, task_sql};
use crate::server::domain::farm::life::{self, TaskEvent};
use crate::server::domain::farm::submission::CheckedJob;
use crate::server::domain::model::Timestamp;
use crate::server::store::changes::Change;
use crate::server::store::db::{Argument, DbRow, Reading, Transaction};
use crate::server::store::{Store, StoreError};
use crate::wire::flamenco::submission::CanceledJob;
use crate::wire::flamenco::{ObjectId, TaskStatus};

/// Rows that one statement inserts at most.
const ROWS: usize = 100;

/// Job that was submitted and checked, with the ids that it gets.
#[derive(Clone, Debug)]
pub struct NewFarmJob {
    /// Id of the job.
    pub id: ObjectId,
    /// Ids of the tasks, in their order.
    pub tasks: Vec<ObjectId>,
    /// Job as it was submitted.
    pub checked: CheckedJob,
    /// Timestamp of the submission.
    pub created: Timestamp,
}

/// Job with the states of its tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobProgress {
    /// Id of the job.
    pub id: ObjectId,
    /// Name under which people know it.
    pub name: String,
    /// Type of the job.
    pub job_type: String,
    /// Priority of the job.
    pub priority: i64,
    /// Timestamp of the submission.
    pub created: Timestamp,
    /// Number of its tasks by their state.
    pub tasks: BTreeMap<TaskStatus, u64>,
}

impl Store {
    /// Takes a job with all of its tasks.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn add_farm_job(&self, new: NewFarmJob) -> Result<(), StoreError> {
        self.change(move |transaction| insert(transaction, &new)).await
    }

    /// Returns at most `limit` jobs, the latest first, from the one before `after` on.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn farm_jobs(&self, after: Option<ObjectId>, limit: u32) -> Result<Vec<JobProgress>, StoreError> {
        // No id begins with a letter behind `f`.
        let after = after.map_or_else(|| "g".to_owned(), |id| id.to_string());
        let sql = "SELECT id, name, job_type, priority, created FROM fl_job WHERE id < ? ORDER BY id DESC LIMIT ?";
        self.read(move |reading| {
            let mut jobs = reading.rows(sql, &[&after, &limit], progress)?;
            for job in &mut jobs {
                count_tasks(reading, job)?;
            }
            Ok(jobs)
        })
        .await
    }

    /// Returns a job.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn farm_job(&self, job: ObjectId) -> Result<Option<JobProgress>, StoreError> {
        let sql = "SELECT id, name, job_type, priority, created FROM fl_job WHERE id = ?";
        self.read(move |reading| {
            let Some(mut found) = reading.row(sql, &[&job.to_string()], progress)? else { return Ok(None) };
            count_tasks(reading, &mut found)?;
            Ok(Some(found))
        })
        .await
    }

    /// Returns at most `limit` tasks of a job, all or those in a state, in the order of their ids, from the one behind `after`
    /// on.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn farm_tasks(
        &self,
        job: ObjectId,
        status: Option<TaskStatus>,
        after: Option<ObjectId>,
        limit: u32,
    ) -> Result<Vec<FarmTask>, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        self.read(move |reading| {
            let job = job.to_string();
            // Two statements: PostgreSQL plans a statement once for all values, and a state that may be missing spoils the plan.
            let all = task_sql!("fl_task.job = ?1 AND fl_task.id > ?2 ORDER BY fl_task.id LIMIT ?3");
            let in_state =
                task_sql!("fl_task.job = ?1 AND fl_task.id > ?2 AND fl_task.status = ?4 ORDER BY fl_task.id LIMIT ?3");
            match status {
                None => reading.rows(all, &[&job, &after, &limit], task),
                Some(status) => reading.rows(in_state, &[&job, &after, &limit, &status], task),
            }
        })
        .await
    }

    /// Returns a task.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn farm_task(&self, task: ObjectId) -> Result<Option<FarmTask>, StoreError> {
        self.read_short(move |reading| find_task(reading, task)).await
    }

    /// Returns the number of tasks that are kept.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn count_farm_tasks(&self) -> Result<u64, StoreError> {
        let count = self.read(|reading| Ok(reading.value::<u32>("SELECT count(*) FROM fl_task", &[])?)).await?;
        Ok(count.unwrap_or_default().into())
    }

    /// Cancels the tasks of a job that are not over; `None` if there is no such job.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn cancel_farm_job(&self, job: ObjectId, now: Timestamp) -> Result<Option<CanceledJob>, StoreError> {
        self.change(move |transaction| {
            let id = job.to_string();
            let exists = transaction.value::<i64>("SELECT 1 FROM fl_job WHERE id = ?", &[&id])?;
            if exists.is_none() {
                return Ok(None);
            }
            let mut canceled = CanceledJob::default();
            // All tasks of one state at once: a job may have very many.
            for from in TaskStatus::ALL {
                let Some(to) = life::change(from, TaskEvent::CancelAsked) else { continue };
                let sql = "UPDATE fl_task SET status = ?, updated = ? WHERE job = ? AND status = ?";
                let changed = transaction.execute(sql, &[&to, &now, &id, &from])?;
                match to {
                    TaskStatus::CancelRequested => canceled.requested += changed,
                    _ => canceled.canceled += changed,
                }
            }
            transaction.publish_on_commit([Change::FarmChanged]);
            Ok(Some(canceled))
        })
        .await
    }
}

fn progress(row: &DbRow<'_>) -> Result<JobProgress, StoreError> {
    Ok(JobProgress {
        id: row.at(0)?,
        name: row.at(1)?,
        job_type: row.at(2)?,
        priority: row.at(3)?,
        created: row.at(4)?,
        tasks: BTreeMap::new(),
    })
}

fn count_tasks(reading: &Reading<'_>, job: &mut JobProgress) -> Result<(), StoreError> {
    let sql = "SELECT status, count(*) FROM fl_task WHERE job = ? GROUP BY status";
    reading.each(sql, &[&job.id.to_string()], |row| {
        job.tasks.insert(row.at(0)?, u64::from(row.at::<u32>(1)?));
        Ok::<_, StoreError>(true)
    })?;
    Ok(())
}

fn insert(transaction: &mut Transaction<'_>, new: &NewFarmJob) -> Result<(), StoreError> {
    let (job, id) = (&new.checked.job, new.id.to_string());
    let sql = "INSERT INTO fl_job (id, name, job_type, priority, created) VALUES (?, ?, ?, ?, ?)";
    transaction.write(sql, &[&id, &job.name, &job.job_type, &job.priority, &new.created])?;
    insert_tasks(transaction, new)?;
    // A parent may come after its child in the list, so the tasks come first.
    insert_parents(transaction, new)?;
    transaction.publish_on_commit([Change::FarmChanged]);
    Ok(())
}

fn insert_tasks(transaction: &mut Transaction<'_>, new: &NewFarmJob) -> Result<(), StoreError> {
    let (job, id) = (&new.checked.job, new.id.to_string());
    let parts = job.tasks.iter().zip(&new.checked.parents).zip(&new.tasks).map(|((task, parents), id)| {
        // A map of JSON values has text keys, so this does not fail.
        let commands = serde_json::to_string(&task.commands).unwrap_or_default();
        (task, id.to_string(), commands, u32::try_from(parents.len()).unwrap_or(u32::MAX))
    });
    let parts: Vec<_> = parts.collect();
    let rows: Vec<[&dyn Argument; 10]> = parts
        .iter()
        .map(|(task, task_id, commands, blocked)| {
            let row: [&dyn Argument; 10] = [
                task_id,
                &id,
                &task.name,
                &task.task_type,
                &TaskStatus::Queued,
                &job.priority,
                &task.priority,
                blocked,
                commands,
                &new.created,
            ];
            row
        })
        .collect();
    // The rows borrow their texts, of which a job may have 64 MB.
    let into = "fl_task (id, job, name, task_type, status, job_priority, priority, blocked, commands, updated)";
    insert_rows(transaction, into, &rows)
}

fn insert_parents(transaction: &mut Transaction<'_>, new: &NewFarmJob) -> Result<(), StoreError> {
    let ids: Vec<String> = new.tasks.iter().map(ObjectId::to_string).collect();
    let mut rows: Vec<[&dyn Argument; 2]> = Vec::new();
    for (parents, task) in new.checked.parents.iter().zip(&ids) {
        rows.extend(parents.iter().filter_map(|place| ids.get(*place)).map(|parent| {
            let row: [&dyn Argument; 2] = [task, parent];
            row
        }));
    }
    insert_rows(transaction, "fl_parent (task, parent)", &rows)
}

/// Inserts rows, many with each statement.
fn insert_rows<const N: usize>(
    transaction: &mut Transaction<'_>,
    into: &str,
    rows: &[[&dyn Argument; N]],
) -> Result<(), StoreError> {
    // One statement for each row would keep all servers of a database waiting for the lock of the writers for a minute.
    for chunk in rows.chunks(ROWS) {
        let row = format!("({})", ["?"; N].join(", "));
        let sql = format!("INSERT INTO {into} VALUES {}", vec![row; chunk.len()].join(", "));
        transaction.write(&sql, &chunk.concat())?;
    }
    Ok(())
}
