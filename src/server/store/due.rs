//! Due runs: reads the jobs that have due runs, and the jobs that lack their planned run.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use super::{Store, StoreError, rows};
use crate::run::RunId;
use crate::server::domain::model::{Exclude, JobId, Run, Timestamp};
use crate::server::domain::schedule::Rule;

impl Store {
    /// Returns the jobs with unclaimed runs that are due.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn jobs_due(&self, now: Timestamp) -> Result<Vec<JobId>, StoreError> {
        // Two conditions with an index each; joined by `OR`, they would read all planned runs.
        let sql = "SELECT job FROM run INDEXED BY run_due
                 WHERE enqueue_dts IS NULL AND return_dts IS NULL AND schedule_dts <= ?
             UNION SELECT job FROM run INDEXED BY run_came_due WHERE enqueue_dts IS NULL AND return_dts IS NULL AND came_due IS NOT NULL
             ORDER BY job";
        self.read(move |reading| Ok(reading.values(sql, &[&now])?)).await
    }

    /// Keeps runs due that were due before the clock was set back from one time to another, also those not yet
    /// evaluated. Runs that are newer than `newest` may have been made after that, for a time that is yet to come.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn stay_due(&self, from: Timestamp, to: Timestamp, newest: Option<RunId>) -> Result<(), StoreError> {
        self.change(move |transaction| {
            transaction.write(
                // Runs whose due time is not later than the new time are due without a mark.
                "UPDATE run SET came_due = ?1 WHERE enqueue_dts IS NULL AND return_dts IS NULL
                 AND schedule_dts > ?1 AND schedule_dts <= ?2 AND id <= ?3",
                &[&to, &from, &newest.map_or(0, RunId::get)],
            )?;
            Ok(())
        })
        .await
    }

    /// Returns the unclaimed runs of a job, by due time.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn coming(&self, job: JobId, limit: u32) -> Result<Vec<Run>, StoreError> {
        let sql = "SELECT * FROM run INDEXED BY run_open WHERE job = ? AND enqueue_dts IS NULL AND return_dts IS NULL
             ORDER BY schedule_dts, schedule_id, id LIMIT ?";
        self.read(move |reading| reading.rows(sql, &[&job, &limit], rows::run)).await
    }

    /// Returns the jobs whose next run does not match their schedule: it is missing, or was planned by another rule.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn jobs_off_plan(&self, zone: Tz, now: Timestamp) -> Result<Vec<JobId>, StoreError> {
        // The same rules as in `planned_runs::pending`: a due run that is meant for one worker does not count.
        let waiting = "SELECT job, plan, came_due IS NOT NULL OR schedule_dts <= ?1 AS is_due
             FROM run INDEXED BY run_open WHERE enqueue_dts IS NULL AND return_dts IS NULL AND is_manual = 0
             AND retry_of IS NULL AND NOT (pinned = 1 AND (came_due IS NOT NULL OR schedule_dts <= ?1))
             ORDER BY job, schedule_dts";
        // Nothing in it depends on the job at hand: PostgreSQL might go through all planned runs for each.
        let jobs = "SELECT job.*, cron IS NOT NULL OR coalesce(reschedule_interval, 0) > 0 AS recurs FROM job
             WHERE cron IS NOT NULL OR reschedule_interval > 0 OR id IN (SELECT job FROM run INDEXED BY run_open
                 WHERE enqueue_dts IS NULL AND return_dts IS NULL AND plan IS NOT NULL)
             ORDER BY id";
        self.read(move |reading| {
            let mut excludes = BTreeMap::<JobId, Vec<Exclude>>::new();
            reading.each("SELECT * FROM reschedule_exclude ORDER BY id", &[], |row| {
                excludes.entry(row.get("job")?).or_default().push(rows::exclude(row)?);
                Ok::<_, StoreError>(true)
            })?;
            // The latest plan of each job with runs that wait.
            let mut plans = BTreeMap::<JobId, Option<String>>::new();
            reading.each(waiting, &[&now], |row| {
                let plan = plans.entry(row.get("job")?).or_default();
                if !row.get::<bool>("is_due")? {
                    *plan = row.get::<Option<String>>("plan")?.or(plan.take());
                }
                Ok::<_, StoreError>(true)
            })?;
            let mut off = Vec::new();
            reading.each(jobs, &[], |row| {
                let mut job = rows::job(row)?;
                job.excludes = excludes.remove(&job.id).unwrap_or_default();
                let plan = plans.remove(&job.id);
                let is_off = match &plan {
                    Some(Some(plan)) => *plan != Rule::of(&job, zone).text(),
                    waits => waits.is_none() && row.get("recurs")?,
                };
                off.extend(is_off.then_some(job.id));
                Ok::<_, StoreError>(true)
            })?;
            Ok(off)
        })
        .await
    }
}
