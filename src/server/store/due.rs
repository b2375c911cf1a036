//! Due runs: reads the jobs that have due runs, the time at which the next run is due, and the jobs that lack their
//! planned run.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use sqlx::Row;

use super::rows::{self, instant, micros};
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::domain::model::{Exclude, JobId, Run, Timestamp};
use crate::server::domain::schedule::Rule;

impl Store {
    /// Returns the jobs with unclaimed runs whose due time is later than `after` and not later than `until`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn jobs_due_since(&self, after: Timestamp, until: Timestamp) -> Result<Vec<JobId>, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT DISTINCT job FROM run WHERE enqueue_dts IS NULL AND return_dts IS NULL
             AND schedule_dts > ? AND schedule_dts <= ?",
        );
        let found: Vec<i64> = query.bind(micros(after)).bind(micros(until)).fetch_all(&self.readers).await?;
        Ok(found.into_iter().filter_map(JobId::new).collect())
    }

    /// Returns the jobs with unclaimed runs that are due.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn jobs_due(&self, now: Timestamp) -> Result<Vec<JobId>, StoreError> {
        let query = sqlx::query_scalar(
            // Two conditions with an index each; joined by `OR`, they would read all planned runs.
            "SELECT job FROM run WHERE enqueue_dts IS NULL AND return_dts IS NULL AND schedule_dts <= ?
             UNION SELECT job FROM run WHERE enqueue_dts IS NULL AND return_dts IS NULL AND came_due IS NOT NULL",
        );
        let found: Vec<i64> = query.bind(micros(now)).fetch_all(&self.readers).await?;
        Ok(found.into_iter().filter_map(JobId::new).collect())
    }

    /// Keeps runs due that were due before the clock was set back from one time to another, also those not yet
    /// evaluated. Runs that are newer than `newest` may have been made after that, for a time that is yet to come.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn stay_due(&self, from: Timestamp, to: Timestamp, newest: Option<RunId>) -> Result<(), StoreError> {
        let mut writing = self.write().await?;
        let query = sqlx::query(
            // Runs whose due time is not later than the new time are due without a mark.
            "UPDATE run SET came_due = ?1 WHERE enqueue_dts IS NULL AND return_dts IS NULL
             AND schedule_dts > ?1 AND schedule_dts <= ?2 AND id <= ?3",
        );
        query.bind(micros(to)).bind(micros(from)).bind(newest.map_or(0, RunId::get)).execute(&mut *writing).await?;
        writing.commit().await
    }

    /// Returns the run that was made last.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn newest_run(&self) -> Result<Option<RunId>, StoreError> {
        let found: Option<i64> = sqlx::query_scalar("SELECT max(id) FROM run").fetch_one(&self.readers).await?;
        Ok(found.and_then(RunId::new))
    }

    /// Returns the earliest due time of an unclaimed run that is later than `after`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn next_due(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT min(schedule_dts) FROM run WHERE enqueue_dts IS NULL AND return_dts IS NULL AND schedule_dts > ?",
        );
        let found: Option<i64> = query.bind(micros(after)).fetch_one(&self.readers).await?;
        found.map(instant).transpose()
    }

    /// Returns the unclaimed runs of a job, by due time.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn coming(&self, job: JobId, limit: u32) -> Result<Vec<Run>, StoreError> {
        let query = sqlx::query(
            "SELECT * FROM run WHERE job = ? AND enqueue_dts IS NULL AND return_dts IS NULL
             ORDER BY schedule_dts, schedule_id, id LIMIT ?",
        );
        let found = query.bind(job.get()).bind(limit).fetch_all(&self.readers).await?;
        found.iter().map(rows::run).collect()
    }

    /// Returns the jobs whose next run does not match their schedule: it is missing, or was planned by another rule.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn jobs_off_plan(&self, zone: Tz, now: Timestamp) -> Result<Vec<JobId>, StoreError> {
        let mut excludes = BTreeMap::<i64, Vec<Exclude>>::new();
        for row in sqlx::query("SELECT * FROM reschedule_exclude ORDER BY id").fetch_all(&self.readers).await? {
            excludes.entry(row.try_get("job")?).or_default().push(rows::exclude(&row)?);
        }
        // The same rules as in `planned_runs::pending`: a due run that is meant for one worker does not count.
        let query = sqlx::query(
            "WITH waiting AS (SELECT job, plan, schedule_dts, came_due IS NOT NULL OR schedule_dts <= ?1 AS is_due FROM run
                 WHERE enqueue_dts IS NULL AND return_dts IS NULL
                 AND is_manual = 0 AND retry_of IS NULL AND NOT (pinned AND is_due))
             SELECT job.*, EXISTS (SELECT 1 FROM waiting WHERE waiting.job = job.id) AS waits,
             (SELECT plan FROM waiting WHERE waiting.job = job.id AND NOT is_due AND plan IS NOT NULL
                 ORDER BY schedule_dts DESC LIMIT 1) AS planned
             FROM job WHERE cron IS NOT NULL OR reschedule_interval > 0
             OR EXISTS (SELECT 1 FROM waiting WHERE waiting.job = job.id AND NOT is_due AND plan IS NOT NULL)",
        );
        let mut off = Vec::new();
        for row in query.bind(micros(now)).fetch_all(&self.readers).await? {
            let mut job = rows::job(&row)?;
            job.excludes = excludes.remove(&job.id.get()).unwrap_or_default();
            let planned: Option<&str> = row.try_get("planned")?;
            let waits: bool = row.try_get("waits")?;
            if planned.map_or(!waits, |plan| plan != Rule::of(&job, zone).text()) {
                off.push(job.id);
            }
        }
        Ok(off)
    }

    /// Returns the job of a changed run. `None` if the run was planned by the schedule for a later time, so that there
    /// is nothing to evaluate yet, or is gone.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn job_concerned(&self, run: RunId, now: Timestamp) -> Result<Option<JobId>, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT job FROM run WHERE id = ? AND (plan IS NULL OR came_due IS NOT NULL OR schedule_dts <= ? OR return_dts IS NOT NULL)",
        );
        let query = query.bind(run.get()).bind(micros(now));
        let found: Option<i64> = query.fetch_optional(&self.readers).await?;
        Ok(found.and_then(JobId::new))
    }
}
