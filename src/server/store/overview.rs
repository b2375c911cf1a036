//! Overviews for operators: reads runs, jobs and workers together with the titles of what they belong to.

use std::collections::BTreeMap;

use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{QueryBuilder, Row};

use super::rows::{self, instant, micros};
use super::{Store, StoreError};
use crate::run::RunId;
use crate::server::domain::model::{Job, JobId, ProjectId, Run, Timestamp, Worker, WorkerId};

/// A run with the titles around it.
#[derive(Clone, Debug)]
pub struct RunOverview {
    /// The run itself, with times for display.
    pub run: Run,
    /// Title of its job.
    pub title: String,
    /// Title of its worker; `None` before a claim, or if the worker was deleted.
    pub worker: Option<String>,
}

/// A job with its surroundings and its runs.
#[derive(Clone, Debug)]
pub struct JobOverview {
    /// The job, without its excludes.
    pub job: Job,
    /// Project, template and pool of the job.
    pub around: JobSurroundings,
    /// Time at which its next unclaimed run is due.
    pub next: Option<Timestamp>,
    /// Latest run that was claimed or is over.
    pub last: Option<Run>,
}

/// Project, template and pool of a job.
#[derive(Clone, Debug)]
pub struct JobSurroundings {
    /// Project of the job's template.
    pub project: JobFrame,
    /// Template of the job.
    pub template: JobFrame,
    /// Pool that executes the job.
    pub pool: JobFrame,
}

/// Project, template or pool, as far as a job's overview needs it.
#[derive(Clone, Debug)]
pub struct JobFrame {
    /// Title of the entity.
    pub title: String,
    /// Whether its jobs run when they are due.
    pub enabled: bool,
}

/// A worker with its pools and load.
#[derive(Clone, Debug)]
pub struct WorkerOverview {
    /// The worker, with its latest report.
    pub worker: Worker,
    /// Titles of its pools, in order.
    pub pools: Vec<String>,
    /// Runs that it has claimed and that are not over.
    pub runs: u32,
}

/// Selection of runs for a list.
#[derive(Clone, Copy, Debug)]
pub struct RunFilter {
    /// Only runs of this job.
    pub job: Option<JobId>,
    /// Only runs with this schedule id, which were due together.
    pub schedule: Option<i64>,
    /// Only runs with a lower id than this one.
    pub before: Option<RunId>,
    /// Stage of the runs.
    pub stage: RunStage,
    /// Present time; unclaimed runs that are due later count as planned.
    pub now: Timestamp,
}

/// Stage of the runs in a list, and their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStage {
    /// All runs, latest first.
    All,
    /// Runs that are claimed or over, latest first.
    Begun,
    /// All runs but planned ones, latest first.
    Due,
    /// Planned runs only, the next one first.
    Planned,
}

/// Run after which a page of a list begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AfterRun {
    /// Time by which the run is listed.
    pub at: Timestamp,
    /// Id, for runs that are listed by the same time.
    pub run: RunId,
}

/// Job or worker after which a page of a list begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AfterTitle {
    /// Title by which it is listed.
    pub title: String,
    /// Id, for those with the same title.
    pub id: i64,
}

/// Time by which a run is listed: its due time, or its end if that was earlier. The index `run_latest` is on this
/// expression.
const LATEST: &str = "min(run.schedule_dts, coalesce(run.return_dts, run.schedule_dts))";

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
/// Pools at most whose titles are read for a page of workers.
const POOLS: u32 = 10_000;

impl Store {
    /// Returns a page of runs, and the run after which the next page begins, if there is more.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn overview_of_runs(
        &self,
        which: &RunFilter,
        after: Option<AfterRun>,
        limit: u32,
    ) -> Result<(Vec<RunOverview>, Option<AfterRun>), StoreError> {
        let is_planned = which.stage == RunStage::Planned;
        let (by, direction, beyond) = if is_planned { ("run.schedule_dts", "ASC", ">") } else { (LATEST, "DESC", "<") };
        let mut query = QueryBuilder::<Sqlite>::new(format!("SELECT {by} AS listed_by, "));
        // RUNS goes on after the column that pages are ordered by.
        query.push(RUNS.trim_start_matches("SELECT "));
        which.narrow(&mut query);
        if let Some(AfterRun { at, run }) = after {
            // This bound follows from the next one, but SQLite can seek to it in the index.
            query.push(format!(" AND {by} {beyond}= ")).push_bind(micros(at));
            query.push(format!(" AND ({by} {beyond} ")).push_bind(micros(at));
            query.push(format!(" OR run.id {beyond} ")).push_bind(run.get()).push(")");
        }
        // One run more than asked for tells whether there is a next page.
        query.push(format!(" ORDER BY {by} {direction}, run.id {direction} LIMIT ")).push_bind(i64::from(limit) + 1);
        let mut rows = query.build().fetch_all(&self.readers).await?;
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let last = rows.last().filter(|_| has_more);
        let next = last.map(|row| {
            Ok::<_, StoreError>(AfterRun { at: instant(row.try_get("listed_by")?)?, run: rows::run(row)?.id })
        });
        Ok((rows.iter().map(run).collect::<Result<_, _>>()?, next.transpose()?))
    }

    /// Counts the runs of a selection.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn count_runs(&self, which: &RunFilter) -> Result<u64, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT count(*) FROM run");
        if which.job.is_none() && which.schedule.is_none() && which.before.is_none() && which.stage == RunStage::Due {
            // All runs less the planned ones: counting all others one by one would read every run.
            query = QueryBuilder::new(
                "SELECT (SELECT count(*) FROM run) - (SELECT count(*) FROM run WHERE enqueue_dts IS NULL
                 AND return_dts IS NULL AND schedule_dts > ",
            );
            query.push_bind(micros(which.now)).push(")");
        } else {
            which.narrow(&mut query);
        }
        let count: i64 = query.build_query_scalar().fetch_one(&self.readers).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Returns the overview of a run; `None` if there is no such run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn overview_of_run(&self, id: RunId) -> Result<Option<RunOverview>, StoreError> {
        let query = sqlx::query(sqlx::AssertSqlSafe(format!("{RUNS} WHERE run.id = ?"))).bind(id.get());
        query.fetch_optional(&self.readers).await?.as_ref().map(run).transpose()
    }

    /// Returns a page of jobs, of one project or of all, ordered by title. Hidden jobs of ad-hoc scripts are left out.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn overview_of_jobs(
        &self,
        project: Option<ProjectId>,
        after: Option<&AfterTitle>,
        limit: u32,
    ) -> Result<Vec<JobOverview>, StoreError> {
        let sql = format!(
            "{JOBS} WHERE job.ad_hoc IS NULL AND (?1 IS NULL OR project.id = ?1)
             AND (?2 IS NULL OR (job.title, job.id) > (?2, ?3)) ORDER BY job.title, job.id LIMIT ?4"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(project.map(ProjectId::get));
        let query = query.bind(after.map(|after| &after.title)).bind(after.map(|after| after.id)).bind(limit);
        self.job_overviews(&query.fetch_all(&self.readers).await?).await
    }

    /// Counts the jobs, without hidden ones of ad-hoc scripts.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn count_jobs(&self) -> Result<u64, StoreError> {
        let query = sqlx::query_scalar("SELECT count(*) FROM job WHERE ad_hoc IS NULL");
        let count: i64 = query.fetch_one(&self.readers).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Returns the overview of a job; `None` if there is no such job.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn overview_of_job(&self, id: JobId) -> Result<Option<JobOverview>, StoreError> {
        let query = sqlx::query(sqlx::AssertSqlSafe(format!("{JOBS} WHERE job.id = ?"))).bind(id.get());
        Ok(self.job_overviews(&query.fetch_all(&self.readers).await?).await?.pop())
    }

    /// Adds the last run of each job, read in one statement.
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

    /// Returns the jobs with a title, at most `limit`, by id. Hidden jobs of ad-hoc scripts are left out.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn jobs_of_title(&self, title: &str, limit: u32) -> Result<Vec<JobId>, StoreError> {
        let query = sqlx::query_scalar("SELECT id FROM job WHERE title = ? AND ad_hoc IS NULL ORDER BY id LIMIT ?");
        let found: Vec<i64> = query.bind(title).bind(limit).fetch_all(&self.readers).await?;
        Ok(found.into_iter().filter_map(JobId::new).collect())
    }

    /// Returns the hidden job with the latest run of an ad-hoc script of that title.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn ad_hoc_of_title(&self, title: &str) -> Result<Option<JobId>, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT id FROM job WHERE ad_hoc = ? ORDER BY (SELECT max(id) FROM run WHERE run.job = job.id) DESC LIMIT 1",
        );
        let found: Option<i64> = query.bind(title).fetch_optional(&self.readers).await?;
        Ok(found.and_then(JobId::new))
    }

    /// Returns ids and titles of projects, ordered by title.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn project_titles(&self, limit: u32) -> Result<Vec<(ProjectId, String)>, StoreError> {
        let query = sqlx::query_as("SELECT id, title FROM project ORDER BY title, id LIMIT ?").bind(limit);
        let found: Vec<(i64, String)> = query.fetch_all(&self.readers).await?;
        Ok(found.into_iter().filter_map(|(id, title)| Some((ProjectId::new(id)?, title))).collect())
    }

    /// Returns the runs of a job that are not over, by due time.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn open_runs(&self, job: JobId, limit: u32) -> Result<Vec<RunOverview>, StoreError> {
        // Found by the index of open runs first: joined at once, SQLite would read the whole history of the job.
        let sql = format!(
            "{RUNS} WHERE run.id IN (SELECT id FROM run INDEXED BY run_active WHERE job = ? AND return_dts IS NULL)
             ORDER BY schedule_dts, run.id LIMIT ?"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(job.get()).bind(limit);
        query.fetch_all(&self.readers).await?.iter().map(run).collect()
    }

    /// Returns a page of workers, ordered by title.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn overview_of_workers(
        &self,
        after: Option<&AfterTitle>,
        limit: u32,
    ) -> Result<Vec<WorkerOverview>, StoreError> {
        let sql = format!("{WORKERS} WHERE ?1 IS NULL OR (title, id) > (?1, ?2) ORDER BY title, id LIMIT ?3");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql));
        let query = query.bind(after.map(|after| &after.title)).bind(after.map(|after| after.id)).bind(limit);
        self.worker_overviews(&query.fetch_all(&self.readers).await?).await
    }

    /// Counts all workers of the server.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn count_workers(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM worker").fetch_one(&self.readers).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Returns the overview of a worker; `None` if there is no such worker.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn overview_of_worker(&self, id: WorkerId) -> Result<Option<WorkerOverview>, StoreError> {
        let query = sqlx::query(sqlx::AssertSqlSafe(format!("{WORKERS} WHERE worker.id = ?"))).bind(id.get());
        Ok(self.worker_overviews(&query.fetch_all(&self.readers).await?).await?.pop())
    }

    /// Adds the pools of each worker, read in one statement.
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

    /// Returns the runs that workers have claimed and that are not over, by id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn runs_under_way(&self, limit: u32) -> Result<Vec<RunOverview>, StoreError> {
        let sql = format!(
            "{RUNS} WHERE return_dts IS NULL AND enqueue_dts IS NOT NULL AND run.worker IS NOT NULL
             ORDER BY run.id LIMIT ?"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(limit);
        query.fetch_all(&self.readers).await?.iter().map(run).collect()
    }

    /// Returns the workers of a job's pool, by id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn workers_of_job(&self, job: JobId, limit: u32) -> Result<Vec<Worker>, StoreError> {
        let query = sqlx::query(
            "SELECT worker.* FROM worker JOIN pool_worker ON pool_worker.worker = worker.id
             JOIN job ON job.worker_pool = pool_worker.pool WHERE job.id = ? ORDER BY worker.id LIMIT ?",
        );
        let found = query.bind(job.get()).bind(limit).fetch_all(&self.readers).await?;
        found.iter().map(rows::worker).collect()
    }
}

impl RunFilter {
    fn narrow(&self, query: &mut QueryBuilder<Sqlite>) {
        match self.stage {
            RunStage::All => {
                query.push(" WHERE TRUE");
            }
            RunStage::Begun => {
                query.push(" WHERE (run.enqueue_dts IS NOT NULL OR run.return_dts IS NOT NULL)");
            }
            // A claimed run is not planned, even where the clock was set back before its due time.
            RunStage::Due => {
                query.push(" WHERE (run.enqueue_dts IS NOT NULL OR run.return_dts IS NOT NULL OR run.schedule_dts <= ");
                query.push_bind(micros(self.now)).push(")");
            }
            RunStage::Planned => {
                query.push(" WHERE run.enqueue_dts IS NULL AND run.return_dts IS NULL AND run.schedule_dts > ");
                query.push_bind(micros(self.now));
            }
        }
        if let Some(job) = self.job {
            query.push(" AND run.job = ").push_bind(job.get());
        }
        if let Some(schedule) = self.schedule {
            query.push(" AND run.schedule_id = ").push_bind(schedule);
        }
        if let Some(before) = self.before {
            query.push(" AND run.id < ").push_bind(before.get());
        }
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
    let frame = |name: &str| -> Result<JobFrame, StoreError> {
        let title = row.try_get(format!("{name}_title").as_str())?;
        Ok(JobFrame { title, enabled: row.try_get(format!("{name}_enabled").as_str())? })
    };
    let around = JobSurroundings { project: frame("project")?, template: frame("template")?, pool: frame("pool")? };
    Ok(JobOverview { job: rows::job(row)?, around, next: rows::instant_of(row, "next_due")?, last })
}
