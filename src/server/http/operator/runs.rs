//! Runs: lists them, shows one, runs a script ad hoc, and kills.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use chrono::Utc;
use serde::Deserialize;

use super::find::{find_job_or_ad_hoc, place_name, run_id};
use super::paging::{self, limit};
use super::refusal::{Body, OperatorRefusal};
use super::views;
use crate::run::RunId;
use crate::server::domain::life::kill_or_cancel::EndDecision;
use crate::server::domain::model::Asker;
use crate::server::domain::rules;
use crate::server::domain::title::Title;
use crate::server::state::AppState;
use crate::server::store::{EntityName, EntityNames, RunFilter, RunOverview, RunStage, StoreError, Submission};
use crate::wire::operator::{DEFAULT, RunInfo, RunList, ScheduleStop, Submit};

/// Title of the template of ad-hoc scripts, which has no text of its own around them.
const SUBMITTED: &str = "submitted";

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
pub(super) async fn list(
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
    let which = RunFilter {
        job: job.or(with.as_ref().map(|run| run.job)),
        schedule: with.map(|run| run.schedule_id),
        before: query.before.and_then(RunId::new),
        stage,
        now: Utc::now(),
    };
    let after = query.after.as_deref().map(paging::after_run).transpose()?;
    let (found, next) = app.store.overview_of_runs(&which, after, limit(query.limit)).await?;
    // Counted for the first page only, since counting reads every run that matches.
    let total = if after.is_none() { Some(app.store.count_runs(&which).await?) } else { None };
    let runs = found.iter().map(|run| run_view(&app, run)).collect();
    Ok(Json(RunList { runs, total, next: next.map(paging::mark_of_run) }))
}

/// Returns one run by its id.
pub(super) async fn show(
    State(app): State<Arc<AppState>>,
    Path(run): Path<String>,
) -> Result<Json<RunInfo>, OperatorRefusal> {
    Ok(Json(find_run(&app, run_id(&run)?).await?))
}

pub(super) async fn find_run(app: &AppState, run: RunId) -> Result<RunInfo, OperatorRefusal> {
    let found = app.store.overview_of_run(run).await?;
    let found = found.ok_or_else(|| OperatorRefusal::NotFound(format!("there is no run {run}")))?;
    Ok(detailed_run_view(app, &found).await?)
}

/// Renders a run as JSON, with what lists leave out.
pub(super) async fn detailed_run_view(app: &AppState, overview: &RunOverview) -> Result<RunInfo, StoreError> {
    let late = app.store.late_results_of_run(overview.run.id).await?;
    Ok(RunInfo { late: late.iter().map(views::late_result).collect(), ..run_view(app, overview) })
}

/// Renders a run as JSON, with the reason why it waits.
pub(super) fn run_view(app: &AppState, overview: &RunOverview) -> RunInfo {
    let RunOverview { run, .. } = overview;
    views::run(overview, app.waiting.of(run.job, run.id).as_ref())
}

/// Enqueues a script as an ad-hoc run.
pub(super) async fn submit(
    State(app): State<Arc<AppState>>,
    Body(new): Body<Submit>,
) -> Result<(StatusCode, Json<RunInfo>), OperatorRefusal> {
    let title = Title::new(&new.title)?;
    rules::executable(&new.script)?;
    // A named pool has to exist: a new one would have no worker, and the run would wait for ever.
    let pool = place_name(new.pool.as_deref(), EntityName::Present)?;
    let names = EntityNames {
        project: EntityName::Default(Title::fixed(DEFAULT)),
        template: EntityName::Default(Title::fixed(SUBMITTED)),
        pool,
    };
    let submission = Submission { title, script: new.script, timeout: rules::timeout(new.timeout)? };
    let run = app.store.enqueue_adhoc_run(&names, &submission, Utc::now()).await?;
    Ok((StatusCode::CREATED, Json(find_run(&app, run.id).await?)))
}

/// Ends a run: cancels an unclaimed one and asks for the kill of a claimed one.
pub(super) async fn kill(
    State(app): State<Arc<AppState>>,
    Path(run): Path<String>,
) -> Result<(StatusCode, Json<ScheduleStop>), OperatorRefusal> {
    let run = run_id(&run)?;
    let (status, what) = match app.store.end_run(run, Asker::Command, Utc::now()).await?.map(|ending| ending.decision) {
        None => return Err(OperatorRefusal::NotFound(format!("there is no run {run}"))),
        // 202, since the worker still has to stop the run.
        Some(EndDecision::AskWorker) => (StatusCode::ACCEPTED, "kill"),
        Some(EndDecision::Cancel) => (StatusCode::OK, "cancelled"),
        Some(EndDecision::Over) => (StatusCode::OK, "over"),
    };
    Ok((status, Json(ScheduleStop { run: run.get(), what: what.to_owned() })))
}
