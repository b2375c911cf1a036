//! Details of a run for its page: who asked for it, what it follows, who wanted it to end, which
//! results came too late, and what followed it.

use super::db::Reading;
use super::entities::find_worker;
use super::late_results::{self, LateReport};
use super::{Store, StoreError, rows};
use crate::run::RunId;
use crate::server::domain::model::{Asker, JobId, KillRequest, ProjectId, Run};

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
        let run = run.clone();
        self.read(move |reading| read_details(reading, &run)).await
    }

    /// Returns the job of a run; `None` if there is no such run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn job_of_run(&self, run: RunId) -> Result<Option<JobId>, StoreError> {
        Ok(self.run(run).await?.map(|run| run.job))
    }
}

/// Columns of a run and of what it belongs to.
struct Surroundings {
    project: (ProjectId, String),
    pool: String,
    asked_by: Option<Asker>,
    follows: Option<i64>,
    retried: Option<RunId>,
    has_children: bool,
}

/// Reads all details of a run; see [`Store::run_details`].
fn read_details(reading: &Reading<'_>, run: &Run) -> Result<Option<RunDetails>, StoreError> {
    let Some(found) = surroundings(reading, run)? else { return Ok(None) };
    Ok(Some(RunDetails {
        project: found.project,
        pool: found.pool,
        asked_by: requester(reading, found.asked_by)?,
        follows: others(reading, "run.id", found.follows)?.pop(),
        kills: kills_of(reading, run.id)?,
        late: late_results::of_run(reading, run.id)?,
        retried: found.retried,
        followed: others(reading, "run.follows", Some(run.id.get()))?,
        elsewhere: elsewhere(reading, run)?,
        has_children: found.has_children,
    }))
}

fn surroundings(reading: &Reading<'_>, run: &Run) -> Result<Option<Surroundings>, StoreError> {
    let sql = "SELECT run.asked_by, run.follows, project.id AS project, project.title AS project_title,
             worker_pool.title AS pool_title,
             (SELECT id FROM run AS retry WHERE retry.schedule_id = run.schedule_id AND retry.retry_of = run.id LIMIT 1)
                 AS retried,
             EXISTS (SELECT 1 FROM job AS child WHERE child.parent = run.job) AS has_children
             FROM run JOIN job ON job.id = run.job JOIN job_template ON job_template.id = job.job_template
             JOIN project ON project.id = job_template.project JOIN worker_pool ON worker_pool.id = job.worker_pool
             WHERE run.id = ?";
    reading.row(sql, &[&run.id], |row| {
        Ok(Surroundings {
            project: (row.get("project")?, row.get("project_title")?),
            pool: row.get("pool_title")?,
            asked_by: rows::asker(row)?,
            follows: row.get("follows")?,
            retried: row.get("retried")?,
            has_children: row.get("has_children")?,
        })
    })
}

/// Reads the runs that other workers have under the same schedule id.
fn elsewhere(reading: &Reading<'_>, run: &Run) -> Result<Vec<(RunId, String)>, StoreError> {
    reading.rows(
        // Runs of the same worker under this schedule id are retries.
        "SELECT run.id, worker.title FROM run JOIN worker ON worker.id = run.worker
             WHERE schedule_id = ? AND job = ? AND run.id <> ? AND pinned = 1 AND run.worker IS DISTINCT FROM ?
             ORDER BY run.id LIMIT ?",
        &[&run.schedule_id, &run.job, &run.id, &run.worker.filter(|_| run.pinned), &MOST],
        |row| Ok((row.at(0)?, row.at(1)?)),
    )
}

fn kills_of(reading: &Reading<'_>, run: RunId) -> Result<Vec<(KillRequest, Option<Requester>)>, StoreError> {
    let sql = "SELECT * FROM kill_request WHERE run = ? ORDER BY id LIMIT ?";
    let kills = reading.rows(sql, &[&run, &MOST], |row| Ok::<_, StoreError>((rows::kill(row)?, rows::asker(row)?)))?;
    kills.into_iter().map(|(kill, asker)| Ok((kill, requester(reading, asker)?))).collect()
}

fn others(reading: &Reading<'_>, column: &str, is: Option<i64>) -> Result<Vec<RelatedRun>, StoreError> {
    let Some(is) = is else { return Ok(Vec::new()) };
    // `column` is always a literal of this file.
    let sql = format!(
        "SELECT run.*, job.title AS job_title FROM run JOIN job ON job.id = run.job WHERE {column} = ?
             ORDER BY run.id LIMIT ?"
    );
    reading.rows(&sql, &[&is, &MOST], |row| Ok(RelatedRun { run: rows::shown_run(row)?, title: row.get("job_title")? }))
}

/// Adds the title of its worker to an asker.
fn requester(reading: &Reading<'_>, asker: Option<Asker>) -> Result<Option<Requester>, StoreError> {
    let Some(asker) = asker else { return Ok(None) };
    let worker = match asker {
        Asker::Worker(worker) => find_worker(reading, worker)?.map(|worker| worker.title.into()),
        Asker::Dashboard | Asker::Command | Asker::Client => None,
    };
    Ok(Some(Requester { asker, worker }))
}
