//! Lanes: lists runs by their state, page by page, and returns how long the runs of a job usually take.

use chrono::TimeDelta;

use super::db::{DbRow, Statement};
use super::overview::RunOverview;
use super::{Store, StoreError, rows};
use crate::run::RunId;
use crate::server::domain::model::{JobId, ProjectId, RunState, Timestamp};
use crate::wire::reference::Reference;

/// Latest runs of a job that are read to know how long they take.
const LOOKED_AT: u32 = 60;
/// Successful runs among them that are enough.
const ENOUGH: u32 = 9;

/// Filter of runs; a field that is `None` leaves no run out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sought {
    /// Only runs of this project.
    pub project: Option<ProjectId>,
    /// Only runs of this job.
    pub job: Option<JobId>,
    /// Only runs of jobs whose titles contain this, or the run with this id.
    pub text: Option<String>,
    /// Jobs whose titles contain `text`, as [`Store::jobs_with`] returns them.
    pub titled: Vec<JobId>,
    /// Only runs that ended like this.
    pub end: Option<EndFilter>,
}

/// Filter by the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndFilter {
    /// Successfully, by its exit code.
    Succeeded,
    /// With a failure of its own.
    Failed,
    /// Killed after its time limit.
    TimedOut,
    /// Killed: by a request, by a cancellation, or replaced by another run.
    Killed,
    /// Lost with its workers too often.
    Lost,
}

/// Place of a run in its lane, after which a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Stored time by which the lane is ordered.
    pub at: Timestamp,
    /// Id, for runs with the same time.
    pub run: RunId,
}

/// A run in its lane.
#[derive(Clone, Debug)]
pub struct LaneRun {
    /// The run with titles and with times for display.
    pub run: RunOverview,
    /// Title of its project.
    pub project: String,
    /// Place in the lane, by the stored times.
    pub mark: Mark,
}

impl Store {
    /// Returns a page of a lane: scheduled runs with the next due first, all others with the latest first.
    ///
    /// # Errors
    /// If the store cannot be read.
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
        let mut query = Statement::new(
            "SELECT run.*, job.title AS job_title, worker.title AS worker_title, project.title AS project_title
             FROM (SELECT id FROM ",
        );
        query.push(table(lane, sought)).push(" WHERE ");
        condition(&mut query, lane, sought);
        if let Some(Mark { at, run }) = after {
            query.push(&format!(" AND ({by}, id) {beyond} (")).bind(&at).push(", ");
            query.bind(&run).push(")");
        }
        // The limit is part of the text: PostgreSQL plans once for all values, and would expect many rows for a limit that it
        // does not know.
        query.push(&format!(" ORDER BY {by} {order}, id {order} LIMIT {limit}"));
        query.push(
            ") AS picked JOIN run ON run.id = picked.id JOIN job ON job.id = run.job
             JOIN job_template ON job_template.id = job.job_template JOIN project ON project.id = job_template.project
             LEFT JOIN worker ON worker.id = run.worker",
        );
        query.push(&format!(" ORDER BY run.{by} {order}, run.id {order}"));
        self.read(move |reading| reading.rows(query.sql(), &query.arguments(), lane_run)).await
    }

    /// Counts the runs of a lane, at most `most`; completed ones only if they ended after `since`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn lane_length(
        &self,
        lane: RunState,
        sought: &Sought,
        since: Timestamp,
        most: u32,
    ) -> Result<u32, StoreError> {
        let mut query = Statement::new("SELECT count(*) FROM (SELECT 1 FROM ");
        query.push(table(lane, sought)).push(" WHERE ");
        condition(&mut query, lane, sought);
        if lane == RunState::Completed {
            query.push(" AND return_dts > ").bind(&since);
        }
        query.push(" LIMIT ").bind(&most).push(") AS counted");
        self.read(move |reading| reading.one(query.sql(), &query.arguments(), |row| Ok(row.at(0)?))).await
    }

    /// Returns how long the latest successful runs of a job took, latest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn durations(&self, job: JobId) -> Result<Vec<TimeDelta>, StoreError> {
        // The inner limit bounds the work for a job that seldom succeeds.
        let sql =
            "SELECT return_dts - start_dts FROM (SELECT * FROM run WHERE job = ? ORDER BY id DESC LIMIT ?) AS latest
             WHERE return_success = 1 AND start_dts IS NOT NULL ORDER BY id DESC LIMIT ?";
        let found = self.read(move |reading| Ok(reading.values(sql, &[&job, &LOOKED_AT, &ENOUGH])?)).await?;
        Ok(found.into_iter().map(TimeDelta::microseconds).collect())
    }
}

/// Returns the table of runs, with the index by which runs that are under way are found for one job. SQLite would take
/// the index of all runs of the job, and read its whole history.
fn table(lane: RunState, sought: &Sought) -> &'static str {
    match (lane, sought.job) {
        (RunState::InQueue | RunState::Started, Some(_)) => "run INDEXED BY run_active",
        _ => "run",
    }
}

fn condition(query: &mut Statement, lane: RunState, sought: &Sought) {
    query.push(match lane {
        RunState::Scheduled => "enqueue_dts IS NULL AND return_dts IS NULL",
        RunState::InQueue => "return_dts IS NULL AND enqueue_dts IS NOT NULL AND start_dts IS NULL",
        RunState::Started => "return_dts IS NULL AND enqueue_dts IS NOT NULL AND start_dts IS NOT NULL",
        RunState::Completed => "return_dts IS NOT NULL",
    });
    if let Some(job) = sought.job {
        query.push(" AND job = ").bind(&job);
    }
    if let Some(project) = sought.project {
        // The unary plus keeps SQLite from using the index on jobs: it would read and sort all runs of a project,
        // rather than follow the order of the lane.
        query.push(
            " AND +job IN (SELECT job.id FROM job JOIN job_template ON job_template.id = job.job_template
             WHERE job_template.project = ",
        );
        query.bind(&project).push(")");
    }
    if let Some(text) = &sought.text {
        let titled: Vec<i64> = sought.titled.iter().map(|job| job.get()).collect();
        query.push(" AND (+job IN (SELECT value FROM json_each(").bind(&rows::json(&titled)).push("))");
        if let Some(id) = Reference::parse(text).id() {
            query.push(" OR id = ").bind(&id);
        }
        query.push(")");
    }
    if let Some(end) = sought.end {
        query.push(match end {
            EndFilter::Succeeded => {
                " AND return_success = 1 AND (exit IS NULL OR exit NOT IN ('timed_out', 'killed', 'lost'))"
            }
            EndFilter::Failed => {
                " AND return_success IS DISTINCT FROM 1 AND (exit IS NULL OR exit NOT IN ('timed_out', 'killed', 'lost'))"
            }
            EndFilter::TimedOut => " AND exit = 'timed_out'",
            EndFilter::Killed => " AND exit = 'killed'",
            EndFilter::Lost => " AND exit = 'lost'",
        });
    }
}

fn lane_run(row: &DbRow<'_>) -> Result<LaneRun, StoreError> {
    // Pages are ordered by stored times, while displayed ones may be shifted to the server's clock.
    let (stored, run) = (rows::run(row)?, rows::shown_run(row)?);
    let at = match stored.state() {
        RunState::Scheduled => None,
        RunState::InQueue => stored.enqueue_dts,
        RunState::Started => stored.start_dts,
        RunState::Completed => stored.return_dts,
    };
    let mark = Mark { at: at.unwrap_or(stored.schedule_dts), run: stored.id };
    let run = RunOverview { run, title: row.get("job_title")?, worker: row.get("worker_title")? };
    Ok(LaneRun { run, project: row.get("project_title")?, mark })
}
