//! Deletion of projects, templates, pools, workers and jobs, with all that belongs to them; refused while a worker has
//! a run of it.

use super::catalogue::Entity;
use super::db::{Reading, Transaction};
use super::fires::record;
use super::run_ends::withdraw;
use super::{Store, StoreError, rows};
use crate::server::domain::fire::{Fire, FireReason};
use crate::server::domain::model::{Timestamp, WorkerId};
use crate::server::store::changes::Change;

/// Other entities that a deletion removes or affects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletionImpact {
    /// Title of the entity itself.
    pub title: String,
    /// Templates that are deleted with it.
    pub templates: u32,
    /// Jobs that are deleted with it, not counting the entity itself.
    pub jobs: u32,
    /// Runs that are deleted with it, and their logs.
    pub runs: u32,
    /// Jobs that stay and lose their parent, so that nothing starts them any more.
    pub orphans: u32,
    /// Runs that workers have claimed and that are not over; while there are any, nothing is deleted.
    pub active: u32,
}

/// Outcome of a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The entity is deleted, with this impact.
    Gone(DeletionImpact),
    /// The entity stays: workers still have runs of it.
    Busy(DeletionImpact),
    /// There is no such entity.
    Unknown,
}

/// Returns for each kind its table, the SQL for the jobs that are deleted with it, and that for the templates; `?1` is
/// its id.
fn parts(thing: Entity) -> (&'static str, &'static str, &'static str) {
    // No id is below 0, so that selects nothing.
    match thing {
        Entity::Project => (
            "project",
            "SELECT job.id FROM job JOIN job_template ON job_template.id = job_template WHERE project = ?1",
            "SELECT id FROM job_template WHERE project = ?1",
        ),
        Entity::Template => (
            "job_template",
            "SELECT id FROM job WHERE job_template = ?1",
            "SELECT 0 AS id WHERE CAST(?1 AS BIGINT) < 0",
        ),
        Entity::Job => ("job", "SELECT id FROM job WHERE id = ?1", "SELECT 0 AS id WHERE CAST(?1 AS BIGINT) < 0"),
        Entity::Pool => {
            ("worker_pool", "SELECT id FROM job WHERE worker_pool = ?1", "SELECT 0 AS id WHERE CAST(?1 AS BIGINT) < 0")
        }
        Entity::Worker => {
            ("worker", "SELECT 0 AS id WHERE CAST(?1 AS BIGINT) < 0", "SELECT 0 AS id WHERE CAST(?1 AS BIGINT) < 0")
        }
    }
}

impl Store {
    /// Returns what a deletion would remove or affect; `None` if there is no such entity.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn deletion_impact(&self, thing: Entity, id: i64) -> Result<Option<DeletionImpact>, StoreError> {
        self.read(move |reading| weigh(reading, thing, id)).await
    }

    /// Deletes an entity, unless a worker has a run of it. Runs that only a deleted worker could have claimed are
    /// withdrawn, and what waited for them is decided.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn remove(&self, thing: Entity, id: i64, now: Timestamp) -> Result<Removal, StoreError> {
        self.change(move |transaction| {
            let Some(weight) = weigh(transaction, thing, id)? else { return Ok(Removal::Unknown) };
            if weight.active > 0 {
                return Ok(Removal::Busy(weight));
            }
            // Before the deletion, which sets the worker of its runs to NULL, so that they could not be found any more.
            if let (Entity::Worker, Some(worker)) = (thing, WorkerId::new(id)) {
                withdraw_runs(transaction, worker, now)?;
            }
            transaction.execute(&format!("DELETE FROM {} WHERE id = ?", parts(thing).0), &[&id])?;
            transaction.publish_on_commit([Change::CatalogueChanged]);
            Ok(Removal::Gone(weight))
        })
        .await
    }
}

/// Withdraws the unclaimed runs that are meant for a worker: no other worker may execute them.
fn withdraw_runs(transaction: &mut Transaction<'_>, worker: WorkerId, now: Timestamp) -> Result<(), StoreError> {
    let sql =
        "SELECT * FROM run INDEXED BY run_active WHERE worker = ? AND pinned = 1 AND return_dts IS NULL ORDER BY id";
    for run in transaction.rows(sql, &[&worker], rows::run)? {
        let reason = FireReason::WorkerRemoved(worker);
        let fire = Fire { job: run.job, due: run.schedule_dts, run: Some(run.id), reason, at: now };
        record(transaction, &fire)?;
        withdraw(transaction, &run, now)?;
    }
    Ok(())
}

fn weigh(reading: &Reading<'_>, thing: Entity, id: i64) -> Result<Option<DeletionImpact>, StoreError> {
    let (table, jobs, templates) = parts(thing);
    let of_worker = if thing == Entity::Worker { "worker = ?1" } else { "FALSE" };
    let sql = format!(
        "WITH gone (id) AS MATERIALIZED ({jobs})
         SELECT title, (SELECT count(*) FROM ({templates}) AS template), (SELECT count(*) FROM gone),
         (SELECT count(*) FROM run WHERE job IN (SELECT id FROM gone)),
         (SELECT count(*) FROM job WHERE parent IN (SELECT id FROM gone) AND id NOT IN (SELECT id FROM gone)),
         (SELECT count(*) FROM run WHERE return_dts IS NULL AND enqueue_dts IS NOT NULL
             AND (job IN (SELECT id FROM gone) OR {of_worker}))
         FROM {table} WHERE id = ?1"
    );
    reading.row(&sql, &[&id], |row| {
        Ok(DeletionImpact {
            title: row.at(0)?,
            templates: row.at(1)?,
            // A job is among the jobs that go with it.
            jobs: if thing == Entity::Job { 0 } else { row.at(2)? },
            runs: row.at(3)?,
            orphans: row.at(4)?,
            active: row.at(5)?,
        })
    })
}
