//! What is due, and when there is something to do next.

use super::rows::{self, instant, micros};
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::model::{Instant, JobId, Run};

impl Store {
    /// The jobs with runs that became due after one instant and until another, and that nobody has claimed.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn jobs_due(&self, after: Option<Instant>, until: Instant) -> Result<Vec<JobId>, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT DISTINCT job FROM run WHERE enqueue_dts IS NULL AND return_dts IS NULL
             AND schedule_dts > ? AND schedule_dts <= ?",
        );
        let after = after.map_or(i64::MIN, micros);
        let found: Vec<i64> = query.bind(after).bind(micros(until)).fetch_all(&self.readers).await?;
        Ok(found.into_iter().filter_map(JobId::new).collect())
    }

    /// When the next run after an instant is due.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn next_due(&self, after: Instant) -> Result<Option<Instant>, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT min(schedule_dts) FROM run WHERE enqueue_dts IS NULL AND return_dts IS NULL AND schedule_dts > ?",
        );
        let found: Option<i64> = query.bind(micros(after)).fetch_one(&self.readers).await?;
        found.map(instant).transpose()
    }

    /// The runs of a job that nobody has claimed, the earliest first.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn coming(&self, job: JobId, limit: u32) -> Result<Vec<Run>, StoreError> {
        let query = sqlx::query(
            "SELECT * FROM run WHERE job = ? AND enqueue_dts IS NULL AND return_dts IS NULL
             ORDER BY schedule_dts, id LIMIT ?",
        );
        let found = query.bind(job.get()).bind(limit).fetch_all(&self.readers).await?;
        found.iter().map(rows::run).collect()
    }

    /// The jobs that have a schedule and no run that waits for its time.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn jobs_without_next(&self) -> Result<Vec<JobId>, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT id FROM job WHERE (cron IS NOT NULL OR reschedule_interval > 0) AND NOT EXISTS (
                 SELECT 1 FROM run WHERE run.job = job.id AND enqueue_dts IS NULL AND return_dts IS NULL
                 AND is_manual = 0 AND retry_of IS NULL)",
        );
        let found: Vec<i64> = query.fetch_all(&self.readers).await?;
        Ok(found.into_iter().filter_map(JobId::new).collect())
    }

    /// The job of a run of which there is news, unless the run is one that the schedule made for a later time: then
    /// there is nothing to do for now.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn job_concerned(&self, run: RunId, now: Instant) -> Result<Option<JobId>, StoreError> {
        let query = sqlx::query_scalar("SELECT job FROM run WHERE id = ? AND (plan IS NULL OR schedule_dts <= ?)")
            .bind(run.get())
            .bind(micros(now));
        let found: Option<i64> = query.fetch_optional(&self.readers).await?;
        Ok(found.and_then(JobId::new))
    }
}
