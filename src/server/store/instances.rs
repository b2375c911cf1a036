//! Worker instances: keeps which instance works under the key of each worker, over restarts of the server.

use super::db::{DbError, DbRow, Reading};
use super::{Store, StoreError};
use crate::run::Instance;
use crate::server::domain::model::{InstanceTenure, WorkerId};

impl Store {
    /// Returns the instance that works under the key of each worker.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn tenures(&self) -> Result<Vec<(WorkerId, InstanceTenure)>, StoreError> {
        let sql = "SELECT worker, instance, since, address FROM worker_instance";
        self.read(move |reading| reading.rows(sql, &[], tenure)).await
    }

    /// Returns the instance that works under the key of one worker.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn tenure(&self, worker: WorkerId) -> Result<Option<InstanceTenure>, StoreError> {
        self.read(move |reading| tenure_of(reading, worker)).await
    }

    /// Records that an instance works under a worker's key, in place of the one that the caller knows. Returns the tenure
    /// of another one that was bound meanwhile, by another server, and stays.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn bind_instance(
        &self,
        worker: WorkerId,
        tenure: &InstanceTenure,
        replaced: Option<&Instance>,
    ) -> Result<Option<InstanceTenure>, StoreError> {
        let (tenure, replaced) = (tenure.clone(), replaced.cloned());
        self.change(move |transaction| {
            if let Some(bound) = tenure_of(transaction, worker)?
                && bound.instance != tenure.instance
                && Some(&bound.instance) != replaced.as_ref()
            {
                return Ok(Some(bound));
            }
            transaction.write(
                "INSERT INTO worker_instance (worker, instance, since, address) VALUES (?, ?, ?, ?)
                 ON CONFLICT (worker) DO UPDATE
                 SET instance = excluded.instance, since = excluded.since, address = excluded.address",
                &[&worker, &tenure.instance.as_str(), &tenure.since, &tenure.from.to_string()],
            )?;
            Ok(None)
        })
        .await
    }

    /// Records that an instance has left, unless another one took its place.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn release_instance(&self, worker: WorkerId, instance: &Instance) -> Result<(), StoreError> {
        let instance = instance.clone();
        self.change(move |transaction| {
            let sql = "DELETE FROM worker_instance WHERE worker = ? AND instance = ?";
            transaction.write(sql, &[&worker, &instance.as_str()])?;
            Ok(())
        })
        .await
    }
}

fn tenure_of(reading: &Reading<'_>, worker: WorkerId) -> Result<Option<InstanceTenure>, StoreError> {
    let sql = "SELECT worker, instance, since, address FROM worker_instance WHERE worker = ?";
    reading.row(sql, &[&worker], |row| Ok(tenure(row)?.1))
}

fn tenure(row: &DbRow<'_>) -> Result<(WorkerId, InstanceTenure), StoreError> {
    let strange = || DbError::Strange("a worker instance".to_owned());
    let worker = row.get("worker")?;
    let instance = Instance::parse(&row.text("instance")?).ok_or_else(strange)?;
    let since = row.get("since")?;
    let from = row.text("address")?.parse().map_err(|_| strange())?;
    Ok((worker, InstanceTenure { instance, since, from }))
}
