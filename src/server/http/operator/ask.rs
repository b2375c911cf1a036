//! Read requests: lists of runs, jobs and workers, one run, and the explanation why a job ran or did not.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use chrono::Utc;
use serde::Deserialize;

use super::answer::OperatorRefusal;
use super::find::{find_job_or_ad_hoc, run_id};
use super::{mark, views, why};
use crate::run::RunId;
use crate::server::domain::model::{Fire, Timestamp};
use crate::server::state::AppState;
use crate::server::store::{JobOverview, RunOverview, RunStage, StoreError, Which, WorkerOverview};
use crate::wire::operator::{JobList, RunInfo, RunList, WhyAnswer, WorkerList};

/// Length of a page of runs where the request names none.
const LISTED: u32 = 50;
/// Longest page of a list.
const MOST: u32 = 1000;
/// Most facts, open runs and workers that are read for one explanation, of each.
const REASONS: u32 = 50;

/// Filters and page of a list of runs.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RunsQuery {
    job: Option<String>,
    /// Runs with a lower id only.
    before: Option<i64>,
    /// Claimed and ended runs only.
    begun: bool,
    /// Whether runs that are not due yet are left out, as they are where no other filter is set.
    due: bool,
    /// Runs that are planned for later only.
    planned: bool,
    /// Id of a run: runs that were due together with it (those of a run on all workers) and their retries only.
    with: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
}

impl RunsQuery {
    fn stage(&self) -> Result<RunStage, OperatorRefusal> {
        match (self.begun, self.planned, self.due || self.with.is_none()) {
            (true, true, _) => Err(OperatorRefusal::Malformed("a run that is planned has not begun".to_owned())),
            (_, true, _) if self.due => Err(OperatorRefusal::Malformed("a run that is planned is not due".to_owned())),
            (true, false, _) => Ok(RunStage::Begun),
            (false, true, _) => Ok(RunStage::Planned),
            (false, false, true) => Ok(RunStage::Due),
            // A retry that waits for its time belongs to the run as well.
            (false, false, false) => Ok(RunStage::All),
        }
    }
}

/// Returns a page of runs, the latest first, without those that are planned for later; or only the planned ones, the
/// next first.
pub(super) async fn runs(
    State(app): State<Arc<AppState>>,
    query: Result<Query<RunsQuery>, QueryRejection>,
) -> Result<Json<RunList>, OperatorRefusal> {
    let Query(query) = query.map_err(|e| OperatorRefusal::Malformed(e.body_text()))?;
    let job = match &query.job {
        Some(job) => Some(find_job_or_ad_hoc(&app, job).await?),
        None => None,
    };
    let with = match &query.with {
        Some(run) => {
            let run = run_id(run)?;
            Some(app.store.run(run).await?.ok_or_else(|| OperatorRefusal::NotFound(format!("there is no run {run}")))?)
        }
        None => None,
    };
    let stage = query.stage()?;
    let which = Which {
        job: job.or(with.as_ref().map(|run| run.job)),
        schedule: with.map(|run| run.schedule_id),
        before: query.before.and_then(RunId::new),
        stage,
        now: Utc::now(),
    };
    let after = query.after.as_deref().map(mark::run).transpose()?;
    let (found, next) = app.store.overview_of_runs(&which, after, limit(query.limit)).await?;
    // Counted for the first page only, since counting reads every run that matches.
    let total = if after.is_none() { Some(app.store.count_runs(&which).await?) } else { None };
    let runs = found.iter().map(|run| run_view(&app, run)).collect();
    Ok(Json(RunList { runs, total, next: next.map(mark::of_run) }))
}

/// Returns one run by its id.
pub(super) async fn run(
    State(app): State<Arc<AppState>>,
    Path(run): Path<String>,
) -> Result<Json<RunInfo>, OperatorRefusal> {
    Ok(Json(find_run(&app, run_id(&run)?).await?))
}

pub(super) async fn find_run(app: &AppState, run: RunId) -> Result<RunInfo, OperatorRefusal> {
    let found = app.store.overview_of_run(run).await?;
    found
        .as_ref()
        .map(|run| run_view(app, run))
        .ok_or_else(|| OperatorRefusal::NotFound(format!("there is no run {run}")))
}

/// Renders a run as JSON, with the reason why it waits.
pub(super) fn run_view(app: &AppState, overview: &RunOverview) -> RunInfo {
    let RunOverview { run, .. } = overview;
    views::run(overview, app.waiting.of(run.job, run.id).as_ref())
}

/// Page of a list of jobs or workers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PageQuery {
    after: Option<String>,
    limit: Option<u32>,
}

/// Bounds the length of a page of which `asked` entries are wanted.
fn limit(asked: Option<u32>) -> u32 {
    asked.unwrap_or(LISTED).clamp(1, MOST)
}

/// Returns a page of jobs, in the order of their titles.
pub(super) async fn jobs(
    State(app): State<Arc<AppState>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<JobList>, OperatorRefusal> {
    let Query(query) = query.map_err(|e| OperatorRefusal::Malformed(e.body_text()))?;
    let (after, limit) = (query.after.as_deref().map(mark::title).transpose()?, limit(query.limit.or(Some(MOST))));
    // One more than is wanted, to know whether there is a next page.
    let mut found = app.store.overview_of_jobs(None, after.as_ref(), limit + 1).await?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let total = if after.is_none() { Some(app.store.count_jobs().await?) } else { None };
    let next = found.last().filter(|_| has_more).map(|last| mark::of_title(&last.job.title, last.job.id.get()));
    Ok(Json(JobList { jobs: found.iter().map(views::job).collect(), total, next }))
}

/// Returns a page of workers, in the order of their titles.
pub(super) async fn workers(
    State(app): State<Arc<AppState>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<WorkerList>, OperatorRefusal> {
    let Query(query) = query.map_err(|e| OperatorRefusal::Malformed(e.body_text()))?;
    let (after, limit) = (query.after.as_deref().map(mark::title).transpose()?, limit(query.limit.or(Some(MOST))));
    let mut found = app.store.overview_of_workers(after.as_ref(), limit + 1).await?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let total = if after.is_none() { Some(app.store.count_workers().await?) } else { None };
    let mark = |last: &WorkerOverview| mark::of_title(&last.worker.title, last.worker.id.get());
    let next = found.last().filter(|_| has_more).map(mark);
    let view = |worker: &WorkerOverview| views::worker(worker, app.presence.is_silent(worker.worker.id));
    Ok(Json(WorkerList { workers: found.iter().map(view).collect(), total, next }))
}

/// Explains why a job ran or did not.
pub(super) async fn why(
    State(app): State<Arc<AppState>>,
    Path(job): Path<String>,
) -> Result<Json<WhyAnswer>, OperatorRefusal> {
    let job = find_job_or_ad_hoc(&app, &job).await?;
    let gone = || OperatorRefusal::NotFound(format!("there is no job {job}"));
    let overview = app.store.overview_of_job(job).await?.ok_or_else(gone)?;
    let (now, facts) = reasons(&app, &overview, Utc::now()).await?;
    Ok(Json(WhyAnswer { job: views::job(&overview), now, facts: facts.iter().map(views::fact).collect() }))
}

/// Explains the present of a job in sentences, and returns the due times that did not become a run as planned, the
/// latest first. The dashboard shows both as well.
///
/// # Errors
/// If the store cannot be read.
pub async fn reasons(
    app: &AppState,
    overview: &JobOverview,
    now: Timestamp,
) -> Result<(Vec<String>, Vec<Fire>), StoreError> {
    let job = overview.job.id;
    let open = app.store.open_runs(job, REASONS).await?;
    let workers = app.store.workers_of_job(job, REASONS).await?;
    let facts = app.store.fires(job, REASONS).await?;
    let waits = |run: &RunOverview| Some((run.run.id, app.waiting.of(job, run.run.id)?.to_string()));
    let waits: BTreeMap<_, _> = open.iter().filter_map(waits).collect();
    let present = why::Present { job: overview, open: &open, workers: &workers, waits: &waits };
    Ok((why::now(&present, now), facts))
}
