//! Single tasks of the Flamenco Manager: explains one, answers with its log, and has tasks executed again.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chrono::{SecondsFormat, Utc};

use super::flamenco::task_info;
use super::refusal::OperatorRefusal;
use crate::server::domain::farm::why::explain;
use crate::server::http::shared::file_body;
use crate::server::state::AppState;
use crate::server::store::farm::TaskSituation;
use crate::wire::flamenco::ObjectId;
use crate::wire::flamenco::supervision::{FarmTaskDetails, RequeuedTasks};

/// Returns a task with what explains its state.
pub(super) async fn show(
    State(app): State<Arc<AppState>>,
    Path(task): Path<String>,
) -> Result<Json<FarmTaskDetails>, OperatorRefusal> {
    let found = app.store.farm_task_situation(task_id(&task)?, Utc::now()).await?;
    Ok(Json(details(found.ok_or_else(|| no_task(&task))?)))
}

/// Returns the log of a task; that of a task without one is empty.
pub(super) async fn log(
    State(app): State<Arc<AppState>>,
    Path(task): Path<String>,
) -> Result<Response, OperatorRefusal> {
    let found = app.store.farm_task(task_id(&task)?).await?.ok_or_else(|| no_task(&task))?;
    // A task that no worker has begun has no file, which is no mistake of the reader.
    let file = app.farm.logs.with(move |logs| logs.open(found.job, found.id)).await.map_err(OperatorRefusal::Log)?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], file.map_or_else(Body::empty, file_body::rest_of))
        .into_response())
}

/// Puts a task into the queue again, or all tasks of a job that failed or were cancelled.
pub(super) async fn requeue(
    State(app): State<Arc<AppState>>,
    Path(id): Path<String>,
) -> Result<Json<RequeuedTasks>, OperatorRefusal> {
    let neither = || OperatorRefusal::NotFound(format!("there is no Flamenco task or job {id:?}"));
    let wanted = id.parse().map_err(|_| neither())?;
    let requeued = app.store.requeue_farm_tasks(wanted, Utc::now()).await?.ok_or_else(neither)?;
    tracing::info!(target: "job_runner.farm", id = %wanted, tasks = requeued, "tasks requeued");
    Ok(Json(RequeuedTasks { requeued }))
}

fn task_id(text: &str) -> Result<ObjectId, OperatorRefusal> {
    text.parse().map_err(|_| no_task(text))
}

fn no_task(text: &str) -> OperatorRefusal {
    OperatorRefusal::NotFound(format!("there is no Flamenco task {text:?}"))
}

fn details(found: TaskSituation) -> FarmTaskDetails {
    FarmTaskDetails {
        job: found.task.job,
        job_name: found.job_name,
        commands: found.task.commands.clone(),
        failed_by: found.failed_by,
        updated: found.updated.to_rfc3339_opts(SecondsFormat::Millis, true),
        why: explain(&found.facts).iter().map(ToString::to_string).collect(),
        task: task_info(found.task),
    }
}
