//! Sleep schedules of workers, and the lines of the blacklist that operators take away.

use super::rows::find_worker;
use super::workers::write_standing;
use crate::server::domain::farm::standing::{StatusChange, WorkerEvent};
use crate::server::store::changes::Change;
use crate::server::store::db::DbError;
use crate::server::store::{Store, StoreError};
use crate::wire::flamenco::{FarmWorkerStatus, ObjectId, ScheduleDocument};

/// Worker with a sleep schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledWorker {
    /// Id of the worker.
    pub id: ObjectId,
    /// Hours at which it sleeps.
    pub schedule: ScheduleDocument,
    /// State that the schedule asked for last.
    pub asked_last: Option<FarmWorkerStatus>,
}

impl Store {
    /// Writes the sleep schedule of a worker. Returns false if there is no such worker.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn set_farm_schedule(&self, worker: ObjectId, schedule: &ScheduleDocument) -> Result<bool, StoreError> {
        // Four texts and a truth value are always JSON.
        let text = serde_json::to_string(schedule).unwrap_or_default();
        let sql = "UPDATE fl_worker SET schedule = ?, schedule_status = NULL WHERE id = ?";
        self.change(move |transaction| Ok(transaction.execute(sql, &[&text, &worker.to_string()])? == 1)).await
    }

    /// Returns the workers that have a sleep schedule.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn farm_schedules(&self) -> Result<Vec<ScheduledWorker>, StoreError> {
        let sql = "SELECT id, schedule, schedule_status FROM fl_worker WHERE schedule IS NOT NULL ORDER BY id";
        self.read(move |reading| {
            reading.rows(sql, &[], |row| {
                let schedule = serde_json::from_str(&row.text("schedule")?);
                Ok(ScheduledWorker {
                    id: row.get("id")?,
                    schedule: schedule.map_err(|_| DbError::Strange("schedule".to_owned()))?,
                    asked_last: row.get("schedule_status")?,
                })
            })
        })
        .await
    }

    /// Asks a worker for the state that its schedule wants. It may finish its task first.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn apply_farm_schedule(&self, worker: ObjectId, wanted: FarmWorkerStatus) -> Result<(), StoreError> {
        self.change(move |transaction| {
            let Some(found) = find_worker(transaction, worker)? else { return Ok(()) };
            let sql = "UPDATE fl_worker SET schedule_status = ? WHERE id = ?";
            transaction.write(sql, &[&wanted, &worker.to_string()])?;
            if found.standing.status == wanted && found.standing.asked.is_none() {
                return Ok(());
            }
            // After its task: one that is interrupted has to be executed again from its beginning.
            transaction.publish_on_commit([Change::FarmChanged]);
            let asked = WorkerEvent::Asked(StatusChange { status: wanted, is_lazy: true });
            write_standing(transaction, worker, found.standing.after(asked))
        })
        .await
    }

    /// Lets a worker have the tasks of a type of a job again. Returns false if it was not blacklisted for them.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn forget_farm_blacklist(
        &self,
        worker: ObjectId,
        job: ObjectId,
        task_type: &str,
    ) -> Result<bool, StoreError> {
        let task_type = task_type.to_owned();
        let sql = "DELETE FROM fl_blacklist WHERE worker = ? AND job = ? AND task_type = ?";
        self.change(move |transaction| {
            Ok(transaction.execute(sql, &[&worker.to_string(), &job.to_string(), &task_type])? == 1)
        })
        .await
    }
}
