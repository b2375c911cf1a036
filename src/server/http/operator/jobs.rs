//! Jobs: lists them, explains why one ran or did not, and creates, runs, enables and disables them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use chrono::Utc;
use chrono_tz::Tz;

use super::find::{find_job, find_job_or_ad_hoc, place_name};
use super::paging::{self, MAX_PAGE, PageQuery, limit};
use super::refusal::{Body, OperatorRefusal};
use super::runs::find_run;
use super::{views, why};
use crate::server::domain::fire::Fire;
use crate::server::domain::model::{Asker, Concurrency, JobId, Schedule, Timestamp};
use crate::server::domain::rules;
use crate::server::domain::sentence::Sentence;
use crate::server::domain::title::Title;
use crate::server::state::AppState;
use crate::server::store::{self, EntityIds, EntityName, EntityNames, JobOverview, RunOverview, StoreError};
use crate::wire::operator::{DisableReason, JobInfo, JobList, MadeJob, NewJobRequest, RunInfo, WhyAnswer};

#[cfg(test)]
mod tests;

/// Maximum number of facts, late results, open runs and workers that are read for one explanation, of each.
const REASONS: u32 = 50;

/// Returns a page of jobs, in the order of their titles.
pub(super) async fn list(
    State(app): State<Arc<AppState>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<JobList>, OperatorRefusal> {
    let Query(query) = query.map_err(|e| OperatorRefusal::Malformed(e.body_text()))?;
    let (after, limit) =
        (query.after.as_deref().map(paging::after_title).transpose()?, limit(query.limit.or(Some(MAX_PAGE))));
    // One more than is wanted, to know whether there is a next page.
    let mut found = app.store.overview_of_jobs(None, after.as_ref(), limit + 1).await?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let total = if after.is_none() { Some(app.store.count_jobs().await?) } else { None };
    let next = found.last().filter(|_| has_more).map(|last| paging::mark_of_title(&last.job.title, last.job.id.get()));
    Ok(Json(JobList { jobs: found.iter().map(views::job).collect(), total, next }))
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
    let now = now.iter().map(ToString::to_string).collect();
    let late = app.store.late_results_of_job(job, REASONS).await?;
    Ok(Json(WhyAnswer {
        job: views::job(&overview),
        now,
        facts: facts.iter().map(views::fire).collect(),
        late: late.iter().map(views::late_result).collect(),
    }))
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
) -> Result<(Vec<Sentence>, Vec<Fire>), StoreError> {
    let job = overview.job.id;
    let open = app.store.open_runs(job, REASONS).await?;
    let workers = app.store.workers_of_job(job, REASONS).await?;
    let facts = app.store.fires(job, REASONS).await?;
    let waits = |run: &RunOverview| Some((run.run.id, app.waiting.of(job, run.run.id)?));
    let waits: BTreeMap<_, _> = open.iter().filter_map(waits).collect();
    let present = why::WhyFacts { job: overview, open: &open, workers: &workers, waits: &waits };
    Ok((why::explain(&present, now), facts))
}

/// Creates a job, and with `make_missing` the named project, template and pool.
pub(super) async fn create(
    State(app): State<Arc<AppState>>,
    Body(new): Body<NewJobRequest>,
) -> Result<(StatusCode, Json<MadeJob>), OperatorRefusal> {
    let title = Title::new(&new.title)?;
    let schedule = parse_schedule(&new, app.settings.time_zone)?;
    let concurrency = new.concurrency.as_deref().map_or(Ok(Concurrency::Wait), rules::concurrency)?;
    let run_timeout = rules::timeout(new.timeout)?;
    let retries = rules::retries(new.retries.unwrap_or(0))?;
    let parent = match &new.after {
        Some(parent) => Some(find_job(&app, parent).await?),
        None => None,
    };
    let missing = if new.make_missing { EntityName::OrCreated } else { EntityName::Present };
    let names = EntityNames {
        project: place_name(new.project.as_deref(), missing)?,
        template: place_name(new.template.as_deref(), missing)?,
        pool: place_name(new.pool.as_deref(), missing)?,
    };
    let job = move |place: EntityIds| {
        let mut job = store::NewJob::new(title.clone(), place.template, place.pool, &new.script);
        job.retry.times = retries;
        store::NewJob { parent, schedule: schedule.clone(), run_timeout, concurrency, ..job }
    };
    let job = app.store.add_job(&names, job).await?;
    Ok((StatusCode::CREATED, Json(MadeJob { id: job.id.get(), title: job.title.into() })))
}

fn parse_schedule(new: &NewJobRequest, zone: Tz) -> Result<Schedule, OperatorRefusal> {
    let zone = new.zone.as_deref().map_or(Ok(zone), rules::zone)?;
    match (&new.every, &new.cron) {
        (Some(_), Some(_)) => {
            Err(OperatorRefusal::Malformed("a job has an interval or a cron expression, not both".to_owned()))
        }
        (_, None) if new.zone.is_some() => Err(OperatorRefusal::Malformed(
            "a time zone is for a cron expression; without one, take it back".to_owned(),
        )),
        (Some(every), None) => Ok(rules::interval(every)?),
        (None, Some(expression)) => Ok(rules::cron(expression, zone)?),
        (None, None) => Ok(Schedule::None),
    }
}

/// Creates a run of a job that is due now.
pub(super) async fn run_now(
    State(app): State<Arc<AppState>>,
    Path(job): Path<String>,
) -> Result<(StatusCode, Json<RunInfo>), OperatorRefusal> {
    let job = find_job(&app, &job).await?;
    let run = app.store.enqueue_run_now(job, true, Asker::Command, Utc::now()).await?;
    Ok((StatusCode::CREATED, Json(find_run(&app, run.id).await?)))
}

/// Enables a job, so that it runs when it is due.
pub(super) async fn enable(
    State(app): State<Arc<AppState>>,
    Path(job): Path<String>,
) -> Result<Json<JobInfo>, OperatorRefusal> {
    let job = find_job(&app, &job).await?;
    set_enabled(&app, job, true, "").await
}

/// Disables a job, with a reason.
pub(super) async fn disable(
    State(app): State<Arc<AppState>>,
    Path(job): Path<String>,
    Body(given): Body<DisableReason>,
) -> Result<Json<JobInfo>, OperatorRefusal> {
    let job = find_job(&app, &job).await?;
    set_enabled(&app, job, false, rules::reason(&given.reason)?).await
}

async fn set_enabled(
    app: &AppState,
    job: JobId,
    enabled: bool,
    reason: &str,
) -> Result<Json<JobInfo>, OperatorRefusal> {
    let gone = || OperatorRefusal::NotFound(format!("there is no job {job}"));
    if !app.store.enable_job(job, enabled, reason).await? {
        return Err(gone());
    }
    let job = app.store.overview_of_job(job).await?.ok_or_else(gone)?;
    Ok(Json(views::job(&job)))
}
