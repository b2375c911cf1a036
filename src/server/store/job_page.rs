//! Data of a job's page: its past runs, the state of its schedule, and the jobs before and after it.

use chrono::TimeDelta;

use super::db::DbRow;
use super::{Store, StoreError, rows};
use crate::server::domain::model::{JobId, Run};
use crate::server::domain::schedule::Last;

/// Jobs of a chain that are read at most.
const FAMILY: u32 = 200;

/// A job in a chain of jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLink {
    /// Id of the job.
    pub id: JobId,
    /// Title of the job.
    pub title: String,
    /// Job after which it runs.
    pub parent: Option<JobId>,
    /// Whether it runs when it is due.
    pub enabled: bool,
}

/// Progress of a job's schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScheduleState {
    /// Due time of the planned run that no worker has claimed.
    pub planned: Option<Last>,
    /// Last due time before the planned one.
    pub last: Option<Last>,
}

impl Store {
    /// Returns runs of a job that are over, latest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn past_runs(&self, job: JobId, limit: u32) -> Result<Vec<Run>, StoreError> {
        let sql = "SELECT * FROM run WHERE job = ? AND return_dts IS NOT NULL ORDER BY id DESC LIMIT ?";
        self.read(move |reading| reading.rows(sql, &[&job, &limit], rows::shown_run)).await
    }

    /// Returns a job with all jobs that it follows and that follow it, directly or over others, by title.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn family(&self, job: JobId) -> Result<Vec<JobLink>, StoreError> {
        let sql = "WITH RECURSIVE
             above (id) AS (SELECT CAST(?1 AS BIGINT) UNION SELECT parent FROM job JOIN above USING (id) WHERE parent <> 0),
             below (id) AS (SELECT CAST(?1 AS BIGINT) UNION SELECT job.id FROM job JOIN below ON job.parent = below.id)
             SELECT id, title, parent, enqueue_is_enabled FROM job
             WHERE id IN (SELECT id FROM above UNION SELECT id FROM below) ORDER BY title, id LIMIT ?2";
        self.read(move |reading| reading.rows(sql, &[&job, &FAMILY], kin)).await
    }

    /// Returns how far the schedule of a job has come; runs by hand and retries do not count.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn schedule_state(&self, job: JobId) -> Result<ScheduleState, StoreError> {
        // Two rows suffice: the planned run, if there is one, is the latest.
        let sql =
            "SELECT schedule_dts, moved, enqueue_dts IS NULL AND return_dts IS NULL AND plan IS NOT NULL AS planned
             FROM run WHERE job = ? AND is_manual = 0 AND retry_of IS NULL ORDER BY id DESC LIMIT 2";
        self.read(move |reading| {
            let mut course = ScheduleState::default();
            reading.each(sql, &[&job], |row| {
                let moved = TimeDelta::seconds(row.get::<Option<i64>>("moved")?.unwrap_or(0));
                let at = Last { at: row.get("schedule_dts")?, moved };
                if row.get("planned")? && course == ScheduleState::default() {
                    course.planned = Some(at);
                } else if course.last.is_none() {
                    course.last = Some(at);
                }
                Ok::<_, StoreError>(true)
            })?;
            Ok(course)
        })
        .await
    }
}

fn kin(row: &DbRow<'_>) -> Result<JobLink, StoreError> {
    Ok(JobLink {
        id: row.get("id")?,
        title: row.get("title")?,
        parent: row.get("parent")?,
        enabled: row.get("enqueue_is_enabled")?,
    })
}
