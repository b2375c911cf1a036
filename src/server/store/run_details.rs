//! Details of a run for its page: who asked for it, what it follows, who wanted it to end, which
//! results came too late, and what followed it.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::late_results::LateReport;
use super::rows;
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::domain::model::{Asker, JobId, KillRequest, ProjectId, Run, WorkerId};

/// Kill requests, and following runs, that are read at most.
const MOST: u32 = 50;

/// Details of a run beyond the run itself.
#[derive(Clone, Debug)]
pub struct RunDetails {
    /// Project of its job, with the title.
    pub project: (ProjectId, String),
    /// Title of the job's pool.
    pub pool: String,
    /// Asker of the run, if known.
    pub asked_by: Option<Requester>,
    /// Run of the parent job that it followed.
    pub follows: Option<RelatedRun>,
    /// Kill requests for the run, oldest first, and their askers if known.
    pub kills: Vec<(KillRequest, Option<Requester>)>,
    /// Results of its attempts that were reported too late to count, in the order of their reports.
    pub late: Vec<LateReport>,
    /// Run that is its retry.
    pub retried: Option<RunId>,
    /// Runs of the job's children that followed it.
    pub followed: Vec<RelatedRun>,
    /// Runs of other workers that were due together with it, with the workers' titles.
    pub elsewhere: Vec<(RunId, String)>,
    /// Whether the job has children.
    pub has_children: bool,
}

/// An asker, with the title of its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// Kind of asker, and the worker if it was one.
    pub asker: Asker,
    /// Title of the asking worker; `None` for other askers, and for a deleted worker.
    pub worker: Option<String>,
}

/// Another run, with the title of its job.
#[derive(Clone, Debug)]
pub struct RelatedRun {
    /// The run with times for display.
    pub run: Run,
    /// Title of its job.
    pub title: String,
}

impl Store {
    /// Returns the details of a run; `None` if there is no such run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn run_details(&self, run: &Run) -> Result<Option<RunDetails>, StoreError> {
        let query = sqlx::query(
            "SELECT run.asked_by, run.follows, project.id AS project, project.title AS project_title,
             worker_pool.title AS pool_title,
             (SELECT id FROM run AS retry WHERE retry.schedule_id = run.schedule_id AND retry.retry_of = run.id LIMIT 1)
                 AS retried,
             EXISTS (SELECT 1 FROM job AS child WHERE child.parent = run.job) AS has_children
             FROM run JOIN job ON job.id = run.job JOIN job_template ON job_template.id = job.job_template
             JOIN project ON project.id = job_template.project JOIN worker_pool ON worker_pool.id = job.worker_pool
             WHERE run.id = ?",
        );
        let Some(row) = query.bind(run.id.get()).fetch_optional(&self.readers).await? else { return Ok(None) };
        let project = ProjectId::new(row.try_get("project")?).ok_or(sqlx::Error::RowNotFound)?;
        Ok(Some(RunDetails {
            project: (project, row.try_get("project_title")?),
            pool: row.try_get("pool_title")?,
            asked_by: self.somebody(&row).await?,
            follows: self.others("run.id", row.try_get("follows")?).await?.pop(),
            kills: self.kills_of(run.id).await?,
            late: self.late_results_of_run(run.id).await?,
            retried: row.try_get::<Option<i64>, _>("retried")?.and_then(RunId::new),
            followed: self.others("run.follows", Some(run.id.get())).await?,
            elsewhere: self.elsewhere(run).await?,
            has_children: row.try_get("has_children")?,
        }))
    }

    /// Reads the runs that other workers have under the same schedule id.
    async fn elsewhere(&self, run: &Run) -> Result<Vec<(RunId, String)>, StoreError> {
        let query = sqlx::query_as(
            // Runs of the same worker under this schedule id are retries.
            "SELECT run.id, worker.title FROM run JOIN worker ON worker.id = run.worker
             WHERE schedule_id = ? AND job = ? AND run.id <> ? AND pinned AND worker IS NOT ? ORDER BY run.id LIMIT ?",
        );
        let query = query.bind(run.schedule_id).bind(run.job.get()).bind(run.id.get());
        let query = query.bind(run.worker.filter(|_| run.pinned).map(WorkerId::get)).bind(MOST);
        let found: Vec<(i64, String)> = query.fetch_all(&self.readers).await?;
        Ok(found.into_iter().filter_map(|(id, worker)| Some((RunId::new(id)?, worker))).collect())
    }

    async fn kills_of(&self, run: RunId) -> Result<Vec<(KillRequest, Option<Requester>)>, StoreError> {
        let query = sqlx::query("SELECT * FROM kill_request WHERE run = ? ORDER BY id LIMIT ?");
        let found = query.bind(run.get()).bind(MOST).fetch_all(&self.readers).await?;
        let mut kills = Vec::with_capacity(found.len());
        for row in &found {
            kills.push((rows::kill(row)?, self.somebody(row).await?));
        }
        Ok(kills)
    }

    async fn others(&self, column: &str, is: Option<i64>) -> Result<Vec<RelatedRun>, StoreError> {
        let Some(is) = is else { return Ok(Vec::new()) };
        // `column` is always a literal of this file.
        let sql = format!(
            "SELECT run.*, job.title AS job_title FROM run JOIN job ON job.id = run.job WHERE {column} = ?
             ORDER BY run.id LIMIT ?"
        );
        let found = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(is).bind(MOST).fetch_all(&self.readers).await?;
        found
            .iter()
            .map(|row| Ok(RelatedRun { run: rows::shown_run(row)?, title: row.try_get("job_title")? }))
            .collect()
    }

    async fn somebody(&self, row: &SqliteRow) -> Result<Option<Requester>, StoreError> {
        let Some(asker) = rows::asker(row)? else { return Ok(None) };
        let worker = match asker {
            Asker::Worker(worker) => self.worker(worker).await?.map(|worker| worker.title.into()),
            Asker::Dashboard | Asker::Command | Asker::Client => None,
        };
        Ok(Some(Requester { asker, worker }))
    }

    /// Returns the job of a run; `None` if there is no such run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn job_of_run(&self, run: RunId) -> Result<Option<JobId>, StoreError> {
        Ok(self.run(run).await?.map(|run| run.job))
    }
}
