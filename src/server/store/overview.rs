//! What an operator sees: runs, jobs and workers with the titles of what they belong to.

use std::collections::BTreeMap;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::rows;
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::model::{Instant, Job, JobId, ProjectId, Run, Worker, WorkerId};

/// A run with the titles that belong to it.
#[derive(Clone, Debug)]
pub struct RunOverview {
    /// The run.
    pub run: Run,
    /// The title of its job.
    pub title: String,
    /// The title of its worker.
    pub worker: Option<String>,
}

/// A job with what belongs to it.
#[derive(Clone, Debug)]
pub struct JobOverview {
    /// The job.
    pub job: Job,
    /// The titles of its project, template and pool, and whether each is enabled.
    pub around: Around,
    /// When its next run is due.
    pub next: Option<Instant>,
    /// Its latest run that somebody claimed or that is over.
    pub last: Option<Run>,
}

/// What a job lies in.
#[derive(Clone, Debug)]
pub struct Around {
    /// The project.
    pub project: Frame,
    /// The template.
    pub template: Frame,
    /// The pool.
    pub pool: Frame,
}

/// One of the things that a job lies in.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its title.
    pub title: String,
    /// Whether jobs in it run when they are due.
    pub enabled: bool,
}

/// A worker with what belongs to it.
#[derive(Clone, Debug)]
pub struct WorkerOverview {
    /// The worker.
    pub worker: Worker,
    /// The titles of its pools.
    pub pools: Vec<String>,
    /// How many runs it has.
    pub runs: u32,
}

/// Which runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Which {
    /// Those of a job.
    pub job: Option<JobId>,
    /// Those that were due together under this schedule id.
    pub schedule: Option<i64>,
    /// Those before this one.
    pub before: Option<RunId>,
    /// Whether those are left out that nobody has claimed yet.
    pub begun: bool,
    /// Those that are due by then, claimed or over.
    pub due_by: Option<Instant>,
    /// At most this many.
    pub limit: u32,
}

const RUNS: &str = "SELECT run.*, job.title AS job_title, worker.title AS worker_title
    FROM run JOIN job ON job.id = run.job LEFT JOIN worker ON worker.id = run.worker";

const JOBS: &str = "SELECT job.*,
    job_template.title AS template_title, job_template.enqueue_is_enabled AS template_enabled,
    project.title AS project_title, project.enqueue_is_enabled AS project_enabled,
    worker_pool.title AS pool_title, worker_pool.enqueue_is_enabled AS pool_enabled,
    (SELECT min(schedule_dts) FROM run WHERE run.job = job.id AND enqueue_dts IS NULL AND return_dts IS NULL)
        AS next_due,
    (SELECT max(id) FROM run WHERE run.job = job.id AND (enqueue_dts IS NOT NULL OR return_dts IS NOT NULL))
        AS last_run
    FROM job JOIN job_template ON job_template.id = job.job_template
    JOIN project ON project.id = job_template.project JOIN worker_pool ON worker_pool.id = job.worker_pool";

const WORKERS: &str = "SELECT worker.*, (SELECT count(*) FROM run WHERE run.worker = worker.id AND return_dts IS NULL
    AND enqueue_dts IS NOT NULL) AS runs FROM worker";
/// How many pools of workers are named.
const POOLS: u32 = 10_000;

impl Store {
    /// Runs, the latest first.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn overview_of_runs(&self, which: Which) -> Result<Vec<RunOverview>, StoreError> {
        let sql = format!(
            "{RUNS} WHERE (?1 IS NULL OR run.job = ?1) AND (?2 IS NULL OR run.id < ?2)
             AND (NOT ?3 OR enqueue_dts IS NOT NULL OR return_dts IS NOT NULL)
             AND (?4 IS NULL OR schedule_dts <= ?4 OR enqueue_dts IS NOT NULL OR return_dts IS NOT NULL)
             AND (?5 IS NULL OR schedule_id = ?5) ORDER BY run.id DESC LIMIT ?6"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(which.job.map(JobId::get))
            .bind(which.before.map(RunId::get))
            .bind(which.begun)
            .bind(which.due_by.map(rows::micros))
            .bind(which.schedule)
            .bind(which.limit);
        query.fetch_all(&self.readers).await?.iter().map(run).collect()
    }

    /// A run.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn overview_of_run(&self, id: RunId) -> Result<Option<RunOverview>, StoreError> {
        let query = sqlx::query(sqlx::AssertSqlSafe(format!("{RUNS} WHERE run.id = ?"))).bind(id.get());
        query.fetch_optional(&self.readers).await?.as_ref().map(run).transpose()
    }

    /// Jobs, of one project or of all, in the order of their titles, without the hidden ones of ad-hoc scripts.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn overview_of_jobs(
        &self,
        project: Option<ProjectId>,
        limit: u32,
    ) -> Result<Vec<JobOverview>, StoreError> {
        let sql = format!(
            "{JOBS} WHERE job.ad_hoc IS NULL AND (?1 IS NULL OR project.id = ?1) ORDER BY job.title, job.id LIMIT ?2"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(project.map(ProjectId::get)).bind(limit);
        self.job_overviews(&query.fetch_all(&self.readers).await?).await
    }

    /// A job.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn overview_of_job(&self, id: JobId) -> Result<Option<JobOverview>, StoreError> {
        let query = sqlx::query(sqlx::AssertSqlSafe(format!("{JOBS} WHERE job.id = ?"))).bind(id.get());
        Ok(self.job_overviews(&query.fetch_all(&self.readers).await?).await?.pop())
    }

    /// With their last runs, in one question.
    async fn job_overviews(&self, rows: &[SqliteRow]) -> Result<Vec<JobOverview>, StoreError> {
        let ids = rows.iter().filter_map(|row| row.try_get::<Option<i64>, _>("last_run").transpose());
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        let mut last = self.runs_of_ids(&ids).await?;
        rows.iter()
            .map(|row| {
                let id = row.try_get::<Option<i64>, _>("last_run")?.and_then(RunId::new);
                job_overview(row, id.and_then(|id| last.remove(&id)))
            })
            .collect()
    }

    async fn runs_of_ids(&self, ids: &[i64]) -> Result<BTreeMap<RunId, Run>, StoreError> {
        let query = sqlx::query("SELECT run.* FROM json_each(?) JOIN run ON run.id = json_each.value");
        let query = query.bind(rows::json(ids));
        let found = query.fetch_all(&self.readers).await?;
        found.iter().map(|row| rows::shown_run(row).map(|run| (run.id, run))).collect()
    }

    /// The jobs of a title, without the hidden ones of ad-hoc scripts. At most `limit`.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn jobs_of_title(&self, title: &str, limit: u32) -> Result<Vec<JobId>, StoreError> {
        let query = sqlx::query_scalar("SELECT id FROM job WHERE title = ? AND ad_hoc IS NULL ORDER BY id LIMIT ?");
        let found: Vec<i64> = query.bind(title).bind(limit).fetch_all(&self.readers).await?;
        Ok(found.into_iter().filter_map(JobId::new).collect())
    }

    /// The hidden job of the latest ad-hoc run of a script of that name.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn ad_hoc_of_title(&self, title: &str) -> Result<Option<JobId>, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT id FROM job WHERE ad_hoc = ? ORDER BY (SELECT max(id) FROM run WHERE run.job = job.id) DESC LIMIT 1",
        );
        let found: Option<i64> = query.bind(title).fetch_optional(&self.readers).await?;
        Ok(found.and_then(JobId::new))
    }

    /// Projects with their titles, in the order of these.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn project_titles(&self, limit: u32) -> Result<Vec<(ProjectId, String)>, StoreError> {
        let query = sqlx::query_as("SELECT id, title FROM project ORDER BY title, id LIMIT ?").bind(limit);
        let found: Vec<(i64, String)> = query.fetch_all(&self.readers).await?;
        Ok(found.into_iter().filter_map(|(id, title)| Some((ProjectId::new(id)?, title))).collect())
    }

    /// Runs of a job that are not over, the oldest first.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn open_runs(&self, job: JobId, limit: u32) -> Result<Vec<RunOverview>, StoreError> {
        let sql = format!("{RUNS} WHERE run.job = ? AND return_dts IS NULL ORDER BY schedule_dts, run.id LIMIT ?");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(job.get()).bind(limit);
        query.fetch_all(&self.readers).await?.iter().map(run).collect()
    }

    /// Workers, in the order of their titles.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn overview_of_workers(&self, limit: u32) -> Result<Vec<WorkerOverview>, StoreError> {
        let sql = format!("{WORKERS} ORDER BY title, id LIMIT ?");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(limit);
        self.worker_overviews(&query.fetch_all(&self.readers).await?).await
    }

    /// A worker.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn overview_of_worker(&self, id: WorkerId) -> Result<Option<WorkerOverview>, StoreError> {
        let query = sqlx::query(sqlx::AssertSqlSafe(format!("{WORKERS} WHERE worker.id = ?"))).bind(id.get());
        Ok(self.worker_overviews(&query.fetch_all(&self.readers).await?).await?.pop())
    }

    /// With their pools, in one question.
    async fn worker_overviews(&self, rows: &[SqliteRow]) -> Result<Vec<WorkerOverview>, StoreError> {
        let ids = rows.iter().map(|row| row.try_get("id")).collect::<Result<Vec<i64>, _>>()?;
        let query = sqlx::query_as(
            "SELECT worker, title FROM pool_worker JOIN worker_pool ON pool = id
             WHERE worker IN (SELECT value FROM json_each(?)) ORDER BY title LIMIT ?",
        );
        let query = query.bind(rows::json(&ids)).bind(POOLS);
        let mut pools = BTreeMap::<i64, Vec<String>>::new();
        for (worker, title) in query.fetch_all(&self.readers).await? {
            pools.entry(worker).or_default().push(title);
        }
        rows.iter()
            .map(|row| {
                let worker = rows::worker(row)?;
                let pools = pools.remove(&worker.id.get()).unwrap_or_default();
                Ok(WorkerOverview { worker, pools, runs: row.try_get("runs")? })
            })
            .collect()
    }

    /// The runs that workers have, the oldest first.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn runs_under_way(&self, limit: u32) -> Result<Vec<RunOverview>, StoreError> {
        let sql = format!(
            "{RUNS} WHERE return_dts IS NULL AND enqueue_dts IS NOT NULL AND run.worker IS NOT NULL
             ORDER BY run.id LIMIT ?"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(limit);
        query.fetch_all(&self.readers).await?.iter().map(run).collect()
    }

    /// The workers of the pool of a job.
    ///
    /// # Errors
    /// That the store does not answer.
    pub async fn workers_of_job(&self, job: JobId, limit: u32) -> Result<Vec<Worker>, StoreError> {
        let query = sqlx::query(
            "SELECT worker.* FROM worker JOIN pool_worker ON pool_worker.worker = worker.id
             JOIN job ON job.worker_pool = pool_worker.pool WHERE job.id = ? ORDER BY worker.id LIMIT ?",
        );
        let found = query.bind(job.get()).bind(limit).fetch_all(&self.readers).await?;
        found.iter().map(rows::worker).collect()
    }
}

fn run(row: &SqliteRow) -> Result<RunOverview, StoreError> {
    Ok(RunOverview {
        run: rows::shown_run(row)?,
        title: row.try_get("job_title")?,
        worker: row.try_get("worker_title")?,
    })
}

fn job_overview(row: &SqliteRow, last: Option<Run>) -> Result<JobOverview, StoreError> {
    let frame = |name: &str| -> Result<Frame, StoreError> {
        let title = row.try_get(format!("{name}_title").as_str())?;
        Ok(Frame { title, enabled: row.try_get(format!("{name}_enabled").as_str())? })
    };
    let around = Around { project: frame("project")?, template: frame("template")?, pool: frame("pool")? };
    Ok(JobOverview { job: rows::job(row)?, around, next: rows::instant_of(row, "next_due")?, last })
}
