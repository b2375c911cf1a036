//! Change requests: kills runs, and runs, enables and disables jobs.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::Utc;

use super::answer::{Body, OperatorRefusal};
use super::ask::find_run;
use super::find::{find_job, run_id};
use super::views;
use crate::server::domain::model::{Asker, JobId};
use crate::server::domain::rules;
use crate::server::state::AppState;
use crate::server::store::EndDecision;
use crate::wire::operator::{DisableReason, JobInfo, RunInfo, ScheduleStop};

/// Ends a run: cancels an unclaimed one and asks for the kill of a claimed one.
pub(super) async fn kill(
    State(app): State<Arc<AppState>>,
    Path(run): Path<String>,
) -> Result<(StatusCode, Json<ScheduleStop>), OperatorRefusal> {
    let run = run_id(&run)?;
    let (status, what) = match app.store.end_run(run, Asker::Command, Utc::now()).await? {
        None => return Err(OperatorRefusal::NotFound(format!("there is no run {run}"))),
        // 202, since the worker still has to stop the run.
        Some(EndDecision::Kill) => (StatusCode::ACCEPTED, "kill"),
        Some(EndDecision::Cancelled) => (StatusCode::OK, "cancelled"),
        Some(EndDecision::Over) => (StatusCode::OK, "over"),
    };
    Ok((status, Json(ScheduleStop { run: run.get(), what: what.to_owned() })))
}

/// Creates a run of a job that is due now.
pub(super) async fn schedule(
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
    set(&app, job, true, "").await
}

/// Disables a job, with a reason.
pub(super) async fn disable(
    State(app): State<Arc<AppState>>,
    Path(job): Path<String>,
    Body(said): Body<DisableReason>,
) -> Result<Json<JobInfo>, OperatorRefusal> {
    let job = find_job(&app, &job).await?;
    set(&app, job, false, rules::reason(&said.reason)?).await
}

async fn set(app: &AppState, job: JobId, enabled: bool, reason: &str) -> Result<Json<JobInfo>, OperatorRefusal> {
    let gone = || OperatorRefusal::NotFound(format!("there is no job {job}"));
    if !app.store.enable_job(job, enabled, reason).await? {
        return Err(gone());
    }
    let job = app.store.overview_of_job(job).await?.ok_or_else(gone)?;
    Ok(Json(views::job(&job)))
}
