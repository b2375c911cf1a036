//! Overviews for operators: reads runs, jobs and workers together with the titles of what they belong to.

use std::collections::BTreeMap;

use super::db::{Argument, DbRow, Reading, Statement};
use super::{Store, StoreError, rows};
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
        let mut query = Statement::new(&format!("SELECT {by} AS listed_by, "));
        // RUNS goes on after the column that pages are ordered by.
        query.push(RUNS.trim_start_matches("SELECT "));
        which.narrow(&mut query);
        if let Some(AfterRun { at, run }) = after {
            // This bound follows from the next one, but SQLite can seek to it in the index.
            query.push(&format!(" AND {by} {beyond}= ")).bind(&at);
            query.push(&format!(" AND ({by} {beyond} ")).bind(&at);
            query.push(&format!(" OR run.id {beyond} ")).bind(&run).push(")");
        }
        // One run more than asked for tells whether there is a next page.
        query.push(&format!(" ORDER BY {by} {direction}, run.id {direction} LIMIT ")).bind(&(i64::from(limit) + 1));
        let listed = |row: &DbRow<'_>| Ok::<_, StoreError>((row.get::<Timestamp>("listed_by")?, run(row)?));
        let mut found = self.read(move |reading| reading.rows(query.sql(), &query.arguments(), listed)).await?;
        let has_more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let last = found.last().filter(|_| has_more);
        let next = last.map(|(at, overview)| AfterRun { at: *at, run: overview.run.id });
        Ok((found.into_iter().map(|(_, overview)| overview).collect(), next))
    }

    /// Counts the runs of a selection.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn count_runs(&self, which: &RunFilter) -> Result<u64, StoreError> {
        let mut query = Statement::new("SELECT count(*) FROM run");
        if which.job.is_none() && which.schedule.is_none() && which.before.is_none() && which.stage == RunStage::Due {
            // All runs less the planned ones: counting all others one by one would read every run.
            query = Statement::new(
                "SELECT (SELECT count(*) FROM run) - (SELECT count(*) FROM run WHERE enqueue_dts IS NULL
                 AND return_dts IS NULL AND schedule_dts > ",
            );
            query.bind(&which.now).push(")");
        } else {
            which.narrow(&mut query);
        }
        self.read(move |reading| count(reading, query.sql(), &query.arguments())).await
    }

    /// Returns the overview of a run; `None` if there is no such run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn overview_of_run(&self, id: RunId) -> Result<Option<RunOverview>, StoreError> {
        self.read(move |reading| reading.row(&format!("{RUNS} WHERE run.id = ?"), &[&id], run)).await
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
            "{JOBS} WHERE job.ad_hoc IS NULL AND (CAST(?1 AS BIGINT) IS NULL OR project.id = ?1)
             AND (CAST(?2 AS TEXT) IS NULL OR (job.title, job.id) > (?2, ?3)) ORDER BY job.title, job.id LIMIT ?4"
        );
        let (title, id) = (after.map(|after| after.title.clone()), after.map(|after| after.id));
        self.read(move |reading| job_overviews(reading, &sql, &[&project, &title, &id, &limit])).await
    }

    /// Counts the jobs, without hidden ones of ad-hoc scripts.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn count_jobs(&self) -> Result<u64, StoreError> {
        self.read(|reading| count(reading, "SELECT count(*) FROM job WHERE ad_hoc IS NULL", &[])).await
    }

    /// Returns the overview of a job; `None` if there is no such job.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn overview_of_job(&self, id: JobId) -> Result<Option<JobOverview>, StoreError> {
        let sql = format!("{JOBS} WHERE job.id = ?");
        Ok(self.read(move |reading| job_overviews(reading, &sql, &[&id])).await?.pop())
    }

    /// Returns the jobs with a title, at most `limit`, by id. Hidden jobs of ad-hoc scripts are left out.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn jobs_of_title(&self, title: &str, limit: u32) -> Result<Vec<JobId>, StoreError> {
        let title = title.to_owned();
        let sql = "SELECT id FROM job WHERE title = ? AND ad_hoc IS NULL ORDER BY id LIMIT ?";
        self.read(move |reading| Ok(reading.values(sql, &[&title, &limit])?)).await
    }

    /// Returns the hidden job with the latest run of an ad-hoc script of that title.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn ad_hoc_of_title(&self, title: &str) -> Result<Option<JobId>, StoreError> {
        let title = title.to_owned();
        let sql = "SELECT id FROM job WHERE ad_hoc = ?
             ORDER BY (SELECT max(id) FROM run WHERE run.job = job.id) DESC NULLS LAST LIMIT 1";
        self.read(move |reading| Ok(reading.value(sql, &[&title])?)).await
    }

    /// Returns ids and titles of projects, ordered by title.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn project_titles(&self, limit: u32) -> Result<Vec<(ProjectId, String)>, StoreError> {
        let sql = "SELECT id, title FROM project ORDER BY title, id LIMIT ?";
        self.read(move |reading| reading.rows(sql, &[&limit], |row| Ok((row.at(0)?, row.at(1)?)))).await
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
        self.read(move |reading| reading.rows(&sql, &[&job, &limit], run)).await
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
        let sql =
            format!("{WORKERS} WHERE CAST(?1 AS TEXT) IS NULL OR (title, id) > (?1, ?2) ORDER BY title, id LIMIT ?3");
        let (title, id) = (after.map(|after| after.title.clone()), after.map(|after| after.id));
        self.read(move |reading| worker_overviews(reading, &sql, &[&title, &id, &limit])).await
    }

    /// Counts all workers of the server.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn count_workers(&self) -> Result<u64, StoreError> {
        self.read(|reading| count(reading, "SELECT count(*) FROM worker", &[])).await
    }

    /// Returns the overview of a worker; `None` if there is no such worker.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn overview_of_worker(&self, id: WorkerId) -> Result<Option<WorkerOverview>, StoreError> {
        let sql = format!("{WORKERS} WHERE worker.id = ?");
        Ok(self.read(move |reading| worker_overviews(reading, &sql, &[&id])).await?.pop())
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
        self.read(move |reading| reading.rows(&sql, &[&limit], run)).await
    }

    /// Returns the workers of a job's pool, by id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn workers_of_job(&self, job: JobId, limit: u32) -> Result<Vec<Worker>, StoreError> {
        let sql = "SELECT worker.* FROM worker JOIN pool_worker ON pool_worker.worker = worker.id
             JOIN job ON job.worker_pool = pool_worker.pool WHERE job.id = ? ORDER BY worker.id LIMIT ?";
        self.read(move |reading| reading.rows(sql, &[&job, &limit], rows::worker)).await
    }
}

impl RunFilter {
    fn narrow(&self, query: &mut Statement) {
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
                query.bind(&self.now).push(")");
            }
            RunStage::Planned => {
                query.push(" WHERE run.enqueue_dts IS NULL AND run.return_dts IS NULL AND run.schedule_dts > ");
                query.bind(&self.now);
            }
        }
        if let Some(job) = self.job {
            query.push(" AND run.job = ").bind(&job);
        }
        if let Some(schedule) = self.schedule {
            query.push(" AND run.schedule_id = ").bind(&schedule);
        }
        if let Some(before) = self.before {
            query.push(" AND run.id < ").bind(&before);
        }
    }
}

fn count(reading: &Reading<'_>, sql: &str, arguments: &[&dyn Argument]) -> Result<u64, StoreError> {
    let count = reading.one(sql, arguments, |row| row.at::<i64>(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

fn run(row: &DbRow<'_>) -> Result<RunOverview, StoreError> {
    Ok(RunOverview { run: rows::shown_run(row)?, title: row.get("job_title")?, worker: row.get("worker_title")? })
}

/// Reads jobs with their surroundings, and the last run of each in one more statement.
fn job_overviews(
    reading: &Reading<'_>,
    sql: &str,
    arguments: &[&dyn Argument],
) -> Result<Vec<JobOverview>, StoreError> {
    let with_id = |row: &DbRow<'_>| Ok::<_, StoreError>((job_overview(row)?, row.get::<Option<RunId>>("last_run")?));
    let jobs = reading.rows(sql, arguments, with_id)?;
    let ids: Vec<i64> = jobs.iter().filter_map(|(_, last)| last.map(RunId::get)).collect();
    let mut runs = runs_of_ids(reading, &ids)?;
    let with_last = |(overview, last): (JobOverview, Option<RunId>)| JobOverview {
        last: last.and_then(|id| runs.remove(&id)),
        ..overview
    };
    Ok(jobs.into_iter().map(with_last).collect())
}

/// Reads a job with its surroundings, without its last run.
fn job_overview(row: &DbRow<'_>) -> Result<JobOverview, StoreError> {
    let frame = |name: &str| -> Result<JobFrame, StoreError> {
        let title = row.get(&format!("{name}_title"))?;
        Ok(JobFrame { title, enabled: row.get(&format!("{name}_enabled"))? })
    };
    let around = JobSurroundings { project: frame("project")?, template: frame("template")?, pool: frame("pool")? };
    Ok(JobOverview { job: rows::job(row)?, around, next: row.get("next_due")?, last: None })
}

fn runs_of_ids(reading: &Reading<'_>, ids: &[i64]) -> Result<BTreeMap<RunId, Run>, StoreError> {
    let sql = "SELECT run.* FROM json_each(?) JOIN run ON run.id = json_each.value";
    let found = reading.rows(sql, &[&rows::json(ids)], rows::shown_run)?;
    Ok(found.into_iter().map(|run| (run.id, run)).collect())
}

/// Reads workers, and the pools of each in one more statement.
fn worker_overviews(
    reading: &Reading<'_>,
    sql: &str,
    arguments: &[&dyn Argument],
) -> Result<Vec<WorkerOverview>, StoreError> {
    let mut workers = reading.rows(sql, arguments, |row| {
        Ok::<_, StoreError>(WorkerOverview { worker: rows::worker(row)?, pools: Vec::new(), runs: row.get("runs")? })
    })?;
    let ids: Vec<i64> = workers.iter().map(|overview| overview.worker.id.get()).collect();
    let mut pools = BTreeMap::<WorkerId, Vec<String>>::new();
    reading.each(
        "SELECT worker, title FROM pool_worker JOIN worker_pool ON pool = id
             WHERE worker IN (SELECT value FROM json_each(?)) ORDER BY title LIMIT ?",
        &[&rows::json(&ids), &POOLS],
        |row| {
            pools.entry(row.at(0)?).or_default().push(row.at(1)?);
            Ok::<_, StoreError>(true)
        },
    )?;
    for overview in &mut workers {
        overview.pools = pools.remove(&overview.worker.id).unwrap_or_default();
    }
    Ok(workers)
}
