//! The lanes: runs by where they stand, page by page, and how long those of a job usually take.

use chrono::TimeDelta;
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{QueryBuilder, Row};

use super::overview::RunOverview;
use super::rows::{self, micros};
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::domain::model::{JobId, ProjectId, RunState, Timestamp};
use crate::wire::reference::Reference;

/// How many of a job's latest runs are looked at to know how long they take.
const LOOKED_AT: u32 = 60;
/// How many of these that succeeded are enough.
const ENOUGH: u32 = 9;

/// Which runs are sought. What says nothing leaves none out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sought {
    /// Those of a project.
    pub project: Option<ProjectId>,
    /// Those of a job.
    pub job: Option<JobId>,
    /// Those of jobs with this in their titles, or with this for their own number.
    pub text: Option<String>,
    /// Which jobs those are: [`Store::jobs_with`] knows.
    pub titled: Vec<JobId>,
    /// Those that are over and ended so.
    pub end: Option<EndFilter>,
}

/// How runs end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndFilter {
    /// Well.
    Succeeded,
    /// Not.
    Failed,
    /// They ran too long.
    TimedOut,
    /// Somebody killed them.
    Killed,
    /// Their workers were lost too often.
    Lost,
}

/// The run after which a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The time by which it has its place in its lane.
    pub at: Timestamp,
    /// Which it is.
    pub run: RunId,
}

/// A run in its lane.
#[derive(Clone, Debug)]
pub struct LaneRun {
    /// The run.
    pub run: RunOverview,
    /// The title of its project.
    pub project: String,
    /// Its place in its lane, by the times as they are stored.
    pub mark: Mark,
}

impl Store {
    /// A page of a lane. Scheduled runs: the first due first; all others: the latest first.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn lane(
        &self,
        lane: RunState,
        sought: &Sought,
        after: Option<Mark>,
        limit: u32,
    ) -> Result<Vec<LaneRun>, StoreError> {
        let (by, order, beyond) = match lane {
            RunState::Scheduled => ("schedule_dts", "ASC", ">"),
            RunState::InQueue => ("enqueue_dts", "DESC", "<"),
            RunState::Started => ("start_dts", "DESC", "<"),
            RunState::Completed => ("return_dts", "DESC", "<"),
        };
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT run.*, job.title AS job_title, worker.title AS worker_title, project.title AS project_title
             FROM (SELECT id FROM run WHERE ",
        );
        condition(&mut query, lane, sought);
        if let Some(Mark { at, run }) = after {
            query.push(format!(" AND ({by}, id) {beyond} (")).push_bind(micros(at)).push(", ");
            query.push_bind(run.get()).push(")");
        }
        query.push(format!(" ORDER BY {by} {order}, id {order} LIMIT ")).push_bind(limit);
        query.push(
            ") AS picked JOIN run ON run.id = picked.id JOIN job ON job.id = run.job
             JOIN job_template ON job_template.id = job.job_template JOIN project ON project.id = job_template.project
             LEFT JOIN worker ON worker.id = run.worker",
        );
        query.push(format!(" ORDER BY run.{by} {order}, run.id {order}"));
        query.build().fetch_all(&self.readers).await?.iter().map(lane_run).collect()
    }

    /// How many runs there are in a lane, of those that are over since then; `most` if there are more.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn lane_length(
        &self,
        lane: RunState,
        sought: &Sought,
        since: Timestamp,
        most: u32,
    ) -> Result<u32, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT count(*) FROM (SELECT 1 FROM run WHERE ");
        condition(&mut query, lane, sought);
        if lane == RunState::Completed {
            query.push(" AND return_dts > ").push_bind(micros(since));
        }
        query.push(" LIMIT ").push_bind(most).push(")");
        Ok(query.build_query_scalar().fetch_one(&self.readers).await?)
    }

    /// How long the latest runs of a job took that succeeded, the latest first; a few are enough.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn durations(&self, job: JobId) -> Result<Vec<TimeDelta>, StoreError> {
        // However seldom one succeeds, no more than the latest are looked at.
        let query = sqlx::query_scalar(
            "SELECT return_dts - start_dts FROM (SELECT * FROM run WHERE job = ? ORDER BY id DESC LIMIT ?)
             WHERE return_success AND start_dts IS NOT NULL LIMIT ?",
        );
        let found: Vec<i64> = query.bind(job.get()).bind(LOOKED_AT).bind(ENOUGH).fetch_all(&self.readers).await?;
        Ok(found.into_iter().map(TimeDelta::microseconds).collect())
    }
}

fn condition(query: &mut QueryBuilder<Sqlite>, lane: RunState, sought: &Sought) {
    query.push(match lane {
        RunState::Scheduled => "enqueue_dts IS NULL AND return_dts IS NULL",
        RunState::InQueue => "return_dts IS NULL AND enqueue_dts IS NOT NULL AND start_dts IS NULL",
        RunState::Started => "return_dts IS NULL AND enqueue_dts IS NOT NULL AND start_dts IS NOT NULL",
        RunState::Completed => "return_dts IS NOT NULL",
    });
    if let Some(job) = sought.job {
        query.push(" AND job = ").push_bind(job.get());
    }
    if let Some(project) = sought.project {
        // The plus keeps to the lane's own order: by their jobs, all runs of a project would be read and sorted.
        query.push(
            " AND +job IN (SELECT job.id FROM job JOIN job_template ON job_template.id = job.job_template
             WHERE job_template.project = ",
        );
        query.push_bind(project.get()).push(")");
    }
    if let Some(text) = &sought.text {
        let titled: Vec<i64> = sought.titled.iter().map(|job| job.get()).collect();
        query.push(" AND (+job IN (SELECT value FROM json_each(").push_bind(rows::json(&titled)).push("))");
        if let Some(id) = Reference::parse(text).id() {
            query.push(" OR id = ").push_bind(id);
        }
        query.push(")");
    }
    if let Some(end) = sought.end {
        query.push(match end {
            EndFilter::Succeeded => {
                " AND return_success AND (exit IS NULL OR exit NOT IN ('timed_out', 'killed', 'lost'))"
            }
            EndFilter::Failed => {
                " AND return_success IS NOT TRUE AND (exit IS NULL OR exit NOT IN ('timed_out', 'killed', 'lost'))"
            }
            EndFilter::TimedOut => " AND exit = 'timed_out'",
            EndFilter::Killed => " AND exit = 'killed'",
            EndFilter::Lost => " AND exit = 'lost'",
        });
    }
}

fn lane_run(row: &SqliteRow) -> Result<LaneRun, StoreError> {
    let (stored, run) = (rows::run(row)?, rows::shown_run(row)?);
    let at = match stored.state() {
        RunState::Scheduled => None,
        RunState::InQueue => stored.enqueue_dts,
        RunState::Started => stored.start_dts,
        RunState::Completed => stored.return_dts,
    };
    let mark = Mark { at: at.unwrap_or(stored.schedule_dts), run: stored.id };
    let run = RunOverview { run, title: row.try_get("job_title")?, worker: row.try_get("worker_title")? };
    Ok(LaneRun { run, project: row.try_get("project_title")?, mark })
}
