//! What is asked: lists, a run, its log, why a job ran or did not.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use chrono::Utc;
use serde::Deserialize;

use super::answer::Refusal;
use super::find::{find_job_or_ad_hoc, run_id};
use super::{views, why};
use crate::run::RunId;
use crate::server::model::{Fire, Instant};
use crate::server::office::Office;
use crate::server::store::{JobOverview, RunOverview, StoreError, Which, WorkerOverview};
use crate::wire::operator::{Jobs, Run, Runs, Why, Workers};

/// How many are listed if nobody says.
const LISTED: u32 = 50;
/// How many are listed at most.
const MOST: u32 = 1000;
/// How many facts, open runs and workers are looked at to say why.
const REASONS: u32 = 50;

/// Which runs.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RunsQuery {
    job: Option<String>,
    before: Option<i64>,
    begun: bool,
    /// Whether those are left out that are not due yet.
    due: bool,
    /// A run: those that were due together with it, which a run on all workers becomes, and their retries.
    with: Option<String>,
    limit: Option<u32>,
}

/// Runs, the latest first.
pub(super) async fn runs(
    State(office): State<Arc<Office>>,
    query: Result<Query<RunsQuery>, QueryRejection>,
) -> Result<Json<Runs>, Refusal> {
    let Query(query) = query.map_err(|e| Refusal::Malformed(e.body_text()))?;
    let job = match &query.job {
        Some(job) => Some(find_job_or_ad_hoc(&office, job).await?),
        None => None,
    };
    let limit = query.limit.unwrap_or(LISTED).clamp(1, MOST);
    let with = match &query.with {
        Some(run) => {
            let run = run_id(run)?;
            Some(office.store.run(run).await?.ok_or_else(|| Refusal::NotFound(format!("there is no run {run}")))?)
        }
        None => None,
    };
    let which = Which {
        job: job.or(with.as_ref().map(|run| run.job)),
        schedule: with.map(|run| run.schedule_id),
        before: query.before.and_then(RunId::new),
        begun: query.begun,
        due_by: query.due.then(Utc::now),
        limit,
    };
    let found = office.store.overview_of_runs(which).await?;
    Ok(Json(Runs { runs: found.iter().map(|run| run_view(&office, run)).collect() }))
}

/// A run.
pub(super) async fn run(State(office): State<Arc<Office>>, Path(run): Path<String>) -> Result<Json<Run>, Refusal> {
    Ok(Json(find_run(&office, run_id(&run)?).await?))
}

pub(super) async fn find_run(office: &Office, run: RunId) -> Result<Run, Refusal> {
    let found = office.store.overview_of_run(run).await?;
    found.as_ref().map(|run| run_view(office, run)).ok_or_else(|| Refusal::NotFound(format!("there is no run {run}")))
}

/// A run as it is told, with the reason why it waits.
pub(super) fn run_view(office: &Office, overview: &RunOverview) -> Run {
    let RunOverview { run, .. } = overview;
    views::run(overview, office.waiting.of(run.job, run.id).as_ref())
}

/// Jobs.
pub(super) async fn jobs(State(office): State<Arc<Office>>) -> Result<Json<Jobs>, Refusal> {
    let found = office.store.overview_of_jobs(None, MOST).await?;
    Ok(Json(Jobs { jobs: found.iter().map(views::job).collect() }))
}

/// Workers.
pub(super) async fn workers(State(office): State<Arc<Office>>) -> Result<Json<Workers>, Refusal> {
    let found = office.store.overview_of_workers(MOST).await?;
    let view = |worker: &WorkerOverview| views::worker(worker, office.presence.is_silent(worker.worker.id));
    Ok(Json(Workers { workers: found.iter().map(view).collect() }))
}

/// Why a job ran or did not.
pub(super) async fn why(State(office): State<Arc<Office>>, Path(job): Path<String>) -> Result<Json<Why>, Refusal> {
    let job = find_job_or_ad_hoc(&office, &job).await?;
    let gone = || Refusal::NotFound(format!("there is no job {job}"));
    let overview = office.store.overview_of_job(job).await?.ok_or_else(gone)?;
    let (now, facts) = reasons(&office, &overview, Utc::now()).await?;
    Ok(Json(Why { job: views::job(&overview), now, facts: facts.iter().map(views::fact).collect() }))
}

/// Why a job runs, does not, or will, and what became of the times at which it was due.
///
/// # Errors
/// That the store does not answer.
pub async fn reasons(
    office: &Office,
    overview: &JobOverview,
    now: Instant,
) -> Result<(Vec<String>, Vec<Fire>), StoreError> {
    let job = overview.job.id;
    let open = office.store.open_runs(job, REASONS).await?;
    let workers = office.store.workers_of_job(job, REASONS).await?;
    let facts = office.store.fires(job, REASONS).await?;
    let waits = |run: &RunOverview| Some((run.run.id, office.waiting.of(job, run.run.id)?.to_string()));
    let waits: BTreeMap<_, _> = open.iter().filter_map(waits).collect();
    let present = why::Present { job: overview, open: &open, workers: &workers, waits: &waits };
    Ok((why::now(&present, now), facts))
}
