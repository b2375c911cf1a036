//! Jobs of the Flamenco Manager: submits them, lists them with their tasks, and cancels them.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use chrono::{SecondsFormat, Utc};
use serde::Deserialize;

use super::paging::limit;
use super::refusal::{Body, OperatorRefusal};
use crate::server::domain::farm::submission::{SubmissionRefusal, check};
use crate::server::state::AppState;
use crate::server::store::farm::{FarmTask, JobProgress, NewFarmJob};
use crate::wire::flamenco::submission::{
    CanceledJob, FarmJobInfo, FarmJobList, FarmTaskInfo, FarmTaskList, JobSubmission, SubmittedJob,
};
use crate::wire::flamenco::{ObjectId, TaskStatus};

/// Longest body of a submission, in bytes.
pub(super) const MAX_SUBMISSION: usize = 64 * 1024 * 1024;

impl From<SubmissionRefusal> for OperatorRefusal {
    fn from(refusal: SubmissionRefusal) -> Self {
        Self::Malformed(refusal.to_string())
    }
}

/// Takes a job with all of its tasks, or refuses it as a whole.
pub(super) async fn submit(
    State(app): State<Arc<AppState>>,
    Body(job): Body<JobSubmission>,
) -> Result<(StatusCode, Json<SubmittedJob>), OperatorRefusal> {
    let checked = check(job)?;
    let created = Utc::now();
    let id = app.farm.ids.mint(created);
    let tasks: Vec<ObjectId> = checked.job.tasks.iter().map(|_| app.farm.ids.mint(created)).collect();
    // The answer has them, so that whoever submits can ask for a task without a search.
    let names = checked.job.tasks.iter().map(|task| task.name.clone()).zip(tasks.iter().copied()).collect();
    let number = tasks.len();
    app.store.add_farm_job(NewFarmJob { id, tasks, checked, created }).await?;
    tracing::info!(target: "job_runner.farm", job = %id, tasks = number, "job submitted");
    Ok((StatusCode::CREATED, Json(SubmittedJob { id, tasks: names })))
}

/// Page of a list of jobs.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FarmJobsQuery {
    after: Option<ObjectId>,
    limit: Option<u32>,
}

/// Page of a list of tasks.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FarmTasksQuery {
    /// State of the tasks; `None` for all.
    state: Option<String>,
    after: Option<ObjectId>,
    limit: Option<u32>,
}

/// Returns a page of the jobs, the latest first.
pub(super) async fn jobs(
    State(app): State<Arc<AppState>>,
    page: Result<Query<FarmJobsQuery>, QueryRejection>,
) -> Result<Json<FarmJobList>, OperatorRefusal> {
    let Query(page) = page.map_err(|e| OperatorRefusal::Malformed(e.body_text()))?;
    let limit = limit(page.limit);
    let jobs = app.store.farm_jobs(page.after, limit).await?;
    let next = (jobs.len() == limit as usize).then(|| jobs.last().map(|job| job.id)).flatten();
    Ok(Json(FarmJobList { jobs: jobs.into_iter().map(job_info).collect(), next }))
}

/// Returns a page of the tasks of a job, the first submitted first.
pub(super) async fn tasks(
    State(app): State<Arc<AppState>>,
    Path(job): Path<String>,
    page: Result<Query<FarmTasksQuery>, QueryRejection>,
) -> Result<Json<FarmTaskList>, OperatorRefusal> {
    let Query(page) = page.map_err(|e| OperatorRefusal::Malformed(e.body_text()))?;
    let (id, limit) = (job_id(&job)?, limit(page.limit));
    let status = page.state.as_deref().map(state).transpose()?;
    let tasks = app.store.farm_tasks(id, status, page.after, limit).await?;
    if tasks.is_empty() && page.after.is_none() && app.store.farm_job(id).await?.is_none() {
        return Err(no_job(&job));
    }
    let next = (tasks.len() == limit as usize).then(|| tasks.last().map(|task| task.id)).flatten();
    Ok(Json(FarmTaskList { tasks: tasks.into_iter().map(task_info).collect(), next }))
}

/// Cancels the tasks of a job that are not over.
pub(super) async fn cancel(
    State(app): State<Arc<AppState>>,
    Path(job): Path<String>,
) -> Result<Json<CanceledJob>, OperatorRefusal> {
    let id = job_id(&job)?;
    let canceled = app.store.cancel_farm_job(id, Utc::now()).await?.ok_or_else(|| no_job(&job))?;
    tracing::info!(target: "job_runner.farm", job = %id, "job cancelled");
    Ok(Json(canceled))
}

fn state(word: &str) -> Result<TaskStatus, OperatorRefusal> {
    let allowed = || TaskStatus::ALL.map(TaskStatus::word).join(", ");
    TaskStatus::named(word)
        .ok_or_else(|| OperatorRefusal::Malformed(format!("no state {word:?}; allowed: {}", allowed())))
}

fn job_id(text: &str) -> Result<ObjectId, OperatorRefusal> {
    text.parse().map_err(|_| no_job(text))
}

fn no_job(text: &str) -> OperatorRefusal {
    OperatorRefusal::NotFound(format!("there is no Flamenco job {text:?}"))
}

fn job_info(job: JobProgress) -> FarmJobInfo {
    FarmJobInfo {
        id: job.id,
        name: job.name,
        job_type: job.job_type,
        priority: job.priority,
        created: job.created.to_rfc3339_opts(SecondsFormat::Millis, true),
        tasks: job.tasks.into_iter().map(|(status, number)| (status.word().to_owned(), number)).collect(),
    }
}

pub(super) fn task_info(task: FarmTask) -> FarmTaskInfo {
    FarmTaskInfo {
        id: task.id,
        name: task.name,
        task_type: task.task_type,
        status: task.status,
        priority: task.priority,
        unfinished_parents: task.blocked,
        worker: task.worker,
        worker_name: task.worker_name,
        activity: task.activity,
    }
}
