//! Page of a job of the farm: its progress and its tasks, by state and page by page.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Response};
use chrono::Utc;
use minijinja::{Value, context};
use serde::Deserialize;

use super::view;
use crate::server::http::dashboard::form::FormValues;
use crate::server::http::dashboard::frame::{Head, Section};
use crate::server::http::dashboard::notice::Notice;
use crate::server::http::dashboard::refusal::PageRefusal;
use crate::server::http::dashboard::template::fill;
use crate::server::http::dashboard::visit::{SignedIn, Visit};
use crate::server::state::AppState;
use crate::server::store::farm::{FarmTask, JobProgress};
use crate::wire::flamenco::{ObjectId, TaskStatus};

/// Tasks on one page.
const PAGE: u32 = 200;

/// Query of the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::server::http::dashboard) struct TasksFilter {
    /// State of the tasks; all where it is empty or unknown.
    state: String,
    /// Id behind which the page begins.
    after: Option<ObjectId>,
}

/// Facts that the page is rendered from.
struct JobPage {
    job: JobProgress,
    /// State whose tasks are listed; `None` for all.
    status: Option<TaskStatus>,
    tasks: Vec<FarmTask>,
}

/// Handler of `/farm/jobs/{job}`: shows the whole page.
pub(in crate::server::http::dashboard) async fn page(
    State(app): State<Arc<AppState>>,
    Path(job): Path<String>,
    Query(wanted): Query<TasksFilter>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let found = load_page(&app, &job, &wanted).await?;
    let title = format!("Farm: {}", found.job.name);
    let head = Head { title: &title, section: Section::Farm, script: Some("farm"), by_project: None };
    Ok(visit.show(head, &body(&found, &visit)))
}

/// Handler of `/parts/farm/jobs/{job}`: renders the page without its frame.
pub(in crate::server::http::dashboard) async fn part(
    State(app): State<Arc<AppState>>,
    Path(job): Path<String>,
    Query(wanted): Query<TasksFilter>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    Ok(Html(body(&load_page(&app, &job, &wanted).await?, &visit).to_string()).into_response())
}

/// Handler of the form "cancel": cancels the tasks of the job that are not over.
pub(in crate::server::http::dashboard) async fn cancel(
    State(app): State<Arc<AppState>>,
    Path(job): Path<String>,
    SignedIn(session): SignedIn,
    _: FormValues,
) -> Result<Response, PageRefusal> {
    let id = super::id(&job)?;
    let canceled = app.store.cancel_farm_job(id, Utc::now()).await?.ok_or_else(|| super::unknown(&job))?;
    tracing::info!(target: "job_runner.farm", job = %id, "job cancelled");
    let notice = Notice::done(match canceled.requested {
        0 => format!("{} tasks were cancelled.", canceled.canceled),
        requested => format!("{} tasks were cancelled; workers are asked to stop {requested}.", canceled.canceled),
    });
    Ok(notice.at(&app, &session, &format!("/farm/jobs/{id}")))
}

/// Handler of the form "requeue": puts the tasks of the job that failed or were cancelled into the queue again.
pub(in crate::server::http::dashboard) async fn requeue(
    State(app): State<Arc<AppState>>,
    Path(job): Path<String>,
    SignedIn(session): SignedIn,
    _: FormValues,
) -> Result<Response, PageRefusal> {
    let id = super::id(&job)?;
    let tasks = app.store.requeue_farm_tasks(id, Utc::now()).await?.ok_or_else(|| super::unknown(&job))?;
    tracing::info!(target: "job_runner.farm", %id, tasks, "tasks requeued");
    Ok(super::requeued(tasks).at(&app, &session, &format!("/farm/jobs/{id}")))
}

async fn load_page(app: &AppState, job: &str, wanted: &TasksFilter) -> Result<JobPage, PageRefusal> {
    let id = super::id(job)?;
    // An unknown state shows all: the address was typed, or is that of another version.
    let status = TaskStatus::named(&wanted.state);
    let found = app.store.farm_job(id).await?.ok_or_else(|| super::unknown(job))?;
    let tasks = app.store.farm_tasks(id, status, wanted.after, PAGE).await?;
    Ok(JobPage { job: found, status, tasks })
}

fn body(page: &JobPage, visit: &Visit) -> Value {
    let JobPage { job, status, tasks } = page;
    let path = |status: Option<TaskStatus>| match status {
        None => format!("/farm/jobs/{}", job.id),
        Some(status) => format!("/farm/jobs/{}?state={}", job.id, status.word()),
    };
    let total: u64 = job.tasks.values().sum();
    let all = (None, format!("all {total}"));
    let by_state = job.tasks.iter().map(|(status, number)| (Some(*status), format!("{number} {}", status.word())));
    let choices: Vec<Value> = std::iter::once(all)
        .chain(by_state)
        .map(|(choice, label)| context!(path => path(choice), label, here => choice == *status))
        .collect();
    // A page that is exactly full may be the last one; then the next is empty, which costs less than counting.
    let is_full = tasks.len() == PAGE as usize;
    let next = tasks.last().filter(|_| is_full).map(|last| {
        let state = status.map(TaskStatus::word).unwrap_or_default();
        format!("/farm/jobs/{}?state={state}&after={}", job.id, last.id)
    });
    fill(
        "farm_job",
        context! {
            job => view::progress(job, Utc::now(), visit.zone), choices, next, form_token => &visit.form_token,
            tasks => tasks.iter().map(view::task_row).collect::<Vec<_>>(),
        },
    )
}
