//! Reads all jobs, workers, runs and kill requests at once, for tests that check everything again and again.

use super::{Store, StoreError, rows};
use crate::server::domain::model::{Job, KillRequest, Run, Worker};

/// Contents of a store.
#[derive(Debug)]
pub struct Whole {
    /// All jobs, without their excludes.
    pub jobs: Vec<Job>,
    /// All workers, by id.
    pub workers: Vec<Worker>,
    /// All runs, also those that are over.
    pub runs: Vec<Run>,
    /// All kill requests, by id.
    pub kills: Vec<KillRequest>,
}

impl Store {
    /// Reads all jobs, workers, runs and kill requests.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn whole(&self) -> Result<Whole, StoreError> {
        let jobs = sqlx::query("SELECT * FROM job ORDER BY id").fetch_all(&self.readers).await?;
        let workers = sqlx::query("SELECT * FROM worker ORDER BY id").fetch_all(&self.readers).await?;
        let runs = sqlx::query("SELECT * FROM run ORDER BY id").fetch_all(&self.readers).await?;
        let kills = sqlx::query("SELECT * FROM kill_request ORDER BY id").fetch_all(&self.readers).await?;
        Ok(Whole {
            jobs: jobs.iter().map(rows::job).collect::<Result<_, _>>()?,
            workers: workers.iter().map(rows::worker).collect::<Result<_, _>>()?,
            runs: runs.iter().map(rows::run).collect::<Result<_, _>>()?,
            kills: kills.iter().map(rows::kill).collect::<Result<_, _>>()?,
        })
    }
}
