//! Everything at once, for tests that look at all of it again and again.

use super::{Store, StoreError, rows};
use crate::server::domain::model::{Job, Run, Worker};

/// What there is.
#[derive(Debug)]
pub struct Whole {
    /// The jobs, without their excludes.
    pub jobs: Vec<Job>,
    /// The workers.
    pub workers: Vec<Worker>,
    /// The runs, also those that are over.
    pub runs: Vec<Run>,
}

impl Store {
    /// All jobs, workers and runs.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn whole(&self) -> Result<Whole, StoreError> {
        let jobs = sqlx::query("SELECT * FROM job ORDER BY id").fetch_all(&self.readers).await?;
        let workers = sqlx::query("SELECT * FROM worker ORDER BY id").fetch_all(&self.readers).await?;
        let runs = sqlx::query("SELECT * FROM run ORDER BY id").fetch_all(&self.readers).await?;
        Ok(Whole {
            jobs: jobs.iter().map(rows::job).collect::<Result<_, _>>()?,
            workers: workers.iter().map(rows::worker).collect::<Result<_, _>>()?,
            runs: runs.iter().map(rows::run).collect::<Result<_, _>>()?,
        })
    }
}
