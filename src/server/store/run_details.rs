//! How a run came about and how it ended, beyond the run itself: who asked, what it follows, what followed.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::rows;
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::domain::model::{Asker, JobId, KillRequest, ProjectId, Run, WorkerId};

/// How many kill requests, and how many runs that followed, are told.
const MOST: u32 = 50;

/// What is known of it.
#[derive(Clone, Debug)]
pub struct RunDetails {
    /// The project, with its title.
    pub project: (ProjectId, String),
    /// The title of the pool that does it.
    pub pool: String,
    /// Who asked for it, if that is known.
    pub asked_by: Option<Somebody>,
    /// The run of the job's parent after which it came.
    pub follows: Option<Other>,
    /// Who wanted it to end, the first first.
    pub kills: Vec<(KillRequest, Option<Somebody>)>,
    /// The run that is its retry.
    pub retried: Option<RunId>,
    /// The runs of the job's children that came after it.
    pub followed: Vec<Other>,
    /// The runs of the other workers, of a run on all workers, with the workers' titles.
    pub elsewhere: Vec<(RunId, String)>,
    /// Whether the job has children.
    pub has_children: bool,
}

/// Who asked, with the title of the worker that it is, if it is one that is still known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Somebody {
    /// Who.
    pub asker: Asker,
    /// The worker's title.
    pub worker: Option<String>,
}

/// Another run.
#[derive(Clone, Debug)]
pub struct Other {
    /// The run.
    pub run: Run,
    /// The title of its job.
    pub title: String,
}

impl Store {
    /// What is known of a run beyond it.
    ///
    /// # Errors
    /// That the store does not answer.
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
            retried: row.try_get::<Option<i64>, _>("retried")?.and_then(RunId::new),
            followed: self.others("run.follows", Some(run.id.get())).await?,
            elsewhere: self.elsewhere(run).await?,
            has_children: row.try_get("has_children")?,
        }))
    }

    /// The runs of other workers that were due with a run.
    async fn elsewhere(&self, run: &Run) -> Result<Vec<(RunId, String)>, StoreError> {
        let query = sqlx::query_as(
            "SELECT run.id, worker.title FROM run JOIN worker ON worker.id = run.worker
             WHERE schedule_id = ? AND job = ? AND run.id <> ? AND pinned AND worker IS NOT ? ORDER BY run.id LIMIT ?",
        );
        let query = query.bind(run.schedule_id).bind(run.job.get()).bind(run.id.get());
        let query = query.bind(run.worker.filter(|_| run.pinned).map(WorkerId::get)).bind(MOST);
        let found: Vec<(i64, String)> = query.fetch_all(&self.readers).await?;
        Ok(found.into_iter().filter_map(|(id, worker)| Some((RunId::new(id)?, worker))).collect())
    }

    async fn kills_of(&self, run: RunId) -> Result<Vec<(KillRequest, Option<Somebody>)>, StoreError> {
        let query = sqlx::query("SELECT * FROM kill_request WHERE run = ? ORDER BY id LIMIT ?");
        let found = query.bind(run.get()).bind(MOST).fetch_all(&self.readers).await?;
        let mut kills = Vec::with_capacity(found.len());
        for row in &found {
            kills.push((rows::kill(row)?, self.somebody(row).await?));
        }
        Ok(kills)
    }

    async fn others(&self, column: &str, is: Option<i64>) -> Result<Vec<Other>, StoreError> {
        let Some(is) = is else { return Ok(Vec::new()) };
        let sql = format!(
            "SELECT run.*, job.title AS job_title FROM run JOIN job ON job.id = run.job WHERE {column} = ?
             ORDER BY run.id LIMIT ?"
        );
        let found = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(is).bind(MOST).fetch_all(&self.readers).await?;
        found.iter().map(|row| Ok(Other { run: rows::shown_run(row)?, title: row.try_get("job_title")? })).collect()
    }

    async fn somebody(&self, row: &SqliteRow) -> Result<Option<Somebody>, StoreError> {
        let Some(asker) = rows::asker(row)? else { return Ok(None) };
        let worker = match asker {
            Asker::Worker(worker) => self.worker(worker).await?.map(|worker| worker.title),
            Asker::Dashboard | Asker::Command | Asker::Client => None,
        };
        Ok(Some(Somebody { asker, worker }))
    }

    /// The job of a run.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn job_of_run(&self, run: RunId) -> Result<Option<JobId>, StoreError> {
        Ok(self.run(run).await?.map(|run| run.job))
    }
}
