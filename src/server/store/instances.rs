//! Worker instances: keeps which instance works under the key of each worker, over restarts of the server.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::rows::{self, micros};
use super::{Store, StoreError};
use crate::run::Instance;
use crate::server::domain::model::{InstanceTenure, WorkerId};

impl Store {
    /// Returns the instance that works under the key of each worker.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn tenures(&self) -> Result<Vec<(WorkerId, InstanceTenure)>, StoreError> {
        let query = sqlx::query("SELECT worker, instance, since, address FROM worker_instance");
        query.fetch_all(&self.readers).await?.iter().map(tenure).collect()
    }

    /// Records that an instance works under a worker's key, in place of any other.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn bind_instance(&self, worker: WorkerId, tenure: &InstanceTenure) -> Result<(), StoreError> {
        let mut writing = self.write().await?;
        sqlx::query("INSERT OR REPLACE INTO worker_instance (worker, instance, since, address) VALUES (?, ?, ?, ?)")
            .bind(worker.get())
            .bind(tenure.instance.as_str())
            .bind(micros(tenure.since))
            .bind(tenure.from.to_string())
            .execute(&mut *writing)
            .await?;
        writing.commit().await
    }

    /// Records that an instance has left, unless another one took its place.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn release_instance(&self, worker: WorkerId, instance: &Instance) -> Result<(), StoreError> {
        let mut writing = self.write().await?;
        let query = sqlx::query("DELETE FROM worker_instance WHERE worker = ? AND instance = ?");
        query.bind(worker.get()).bind(instance.as_str()).execute(&mut *writing).await?;
        writing.commit().await
    }
}

fn tenure(row: &SqliteRow) -> Result<(WorkerId, InstanceTenure), StoreError> {
    let strange = || StoreError::from(sqlx::Error::RowNotFound);
    let worker = WorkerId::new(row.try_get("worker")?).ok_or_else(strange)?;
    let instance = Instance::parse(row.try_get("instance")?).ok_or_else(strange)?;
    let since = rows::instant(row.try_get("since")?)?;
    let from = row.try_get::<&str, _>("address")?.parse().map_err(|_| strange())?;
    Ok((worker, InstanceTenure { instance, since, from }))
}
