//! What is done to jobs and runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::Utc;

use super::answer::{Body, Refusal};
use super::ask::find_run;
use super::find::{find_job, run_id};
use super::views;
use crate::server::model::{Asker, JobId};
use crate::server::office::Office;
use crate::server::rules;
use crate::server::store::Ending;
use crate::wire::operator::{Job, Reason, Run, Stopped};

/// Ends a run.
pub(super) async fn kill(
    State(office): State<Arc<Office>>,
    Path(run): Path<String>,
) -> Result<(StatusCode, Json<Stopped>), Refusal> {
    let run = run_id(&run)?;
    let (status, what) = match office.store.end_run(run, Asker::Command, Utc::now()).await? {
        None => return Err(Refusal::NotFound(format!("there is no run {run}"))),
        Some(Ending::Kill) => (StatusCode::ACCEPTED, "kill"),
        Some(Ending::Cancelled) => (StatusCode::OK, "cancelled"),
        Some(Ending::Over) => (StatusCode::OK, "over"),
    };
    Ok((status, Json(Stopped { run: run.get(), what: what.to_owned() })))
}

/// Makes a run that is due now.
pub(super) async fn schedule(
    State(office): State<Arc<Office>>,
    Path(job): Path<String>,
) -> Result<(StatusCode, Json<Run>), Refusal> {
    let job = find_job(&office, &job).await?;
    let run = office.store.run_now(job, true, Asker::Command, Utc::now()).await?;
    Ok((StatusCode::CREATED, Json(find_run(&office, run.id).await?)))
}

/// Lets a job run when it is due.
pub(super) async fn enable(State(office): State<Arc<Office>>, Path(job): Path<String>) -> Result<Json<Job>, Refusal> {
    let job = find_job(&office, &job).await?;
    set(&office, job, true, "").await
}

/// Lets it not.
pub(super) async fn disable(
    State(office): State<Arc<Office>>,
    Path(job): Path<String>,
    Body(said): Body<Reason>,
) -> Result<Json<Job>, Refusal> {
    let job = find_job(&office, &job).await?;
    set(&office, job, false, rules::reason(&said.reason)?).await
}

async fn set(office: &Office, job: JobId, enabled: bool, reason: &str) -> Result<Json<Job>, Refusal> {
    let gone = || Refusal::NotFound(format!("there is no job {job}"));
    if !office.store.enable_job(job, enabled, reason).await? {
        return Err(gone());
    }
    let job = office.store.overview_of_job(job).await?.ok_or_else(gone)?;
    Ok(Json(views::job(&job)))
}
