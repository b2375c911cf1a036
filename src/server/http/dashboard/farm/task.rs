//! Page of a task of the farm: its state with the reasons, its commands, and its log.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use chrono::Utc;
use minijinja::{Value, context};

use super::view;
use crate::run::chain_of;
use crate::server::domain::farm::life::{self, TaskEvent};
use crate::server::domain::farm::why::explain;
use crate::server::http::dashboard::form::FormValues;
use crate::server::http::dashboard::format::time;
use crate::server::http::dashboard::frame::{Head, Section};
use crate::server::http::dashboard::refusal::PageRefusal;
use crate::server::http::dashboard::template::fill;
use crate::server::http::dashboard::visit::{SignedIn, Visit};
use crate::server::state::AppState;
use crate::server::store::farm::TaskSituation;

/// Handler of `/farm/tasks/{task}`: shows the whole page.
pub(in crate::server::http::dashboard) async fn page(
    State(app): State<Arc<AppState>>,
    Path(task): Path<String>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let (found, log) = load_page(&app, &task).await?;
    let title = format!("Farm: {} of {}", found.task.name, found.job_name);
    let head = Head { title: &title, section: Section::Farm, script: Some("farm"), by_project: None };
    Ok(visit.show(head, &body(&found, &log, &visit)))
}

/// Handler of `/parts/farm/tasks/{task}`: renders the page without its frame.
pub(in crate::server::http::dashboard) async fn part(
    State(app): State<Arc<AppState>>,
    Path(task): Path<String>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let (found, log) = load_page(&app, &task).await?;
    Ok(Html(body(&found, &log, &visit).to_string()).into_response())
}

/// Handler of the form "requeue": puts the task into the queue again.
pub(in crate::server::http::dashboard) async fn requeue(
    State(app): State<Arc<AppState>>,
    Path(task): Path<String>,
    SignedIn(session): SignedIn,
    _: FormValues,
) -> Result<Response, PageRefusal> {
    let id = super::id(&task)?;
    let tasks = app.store.requeue_farm_tasks(id, Utc::now()).await?.ok_or_else(|| super::unknown(&task))?;
    tracing::info!(target: "job_runner.farm", %id, tasks, "tasks requeued");
    Ok(super::requeued(tasks).at(&app, &session, &format!("/farm/tasks/{id}")))
}

/// Reads a task with the beginning and the end of its log.
async fn load_page(app: &AppState, task: &str) -> Result<(TaskSituation, String), PageRefusal> {
    let found = app.store.farm_task_situation(super::id(task)?, Utc::now()).await?;
    let found = found.ok_or_else(|| super::unknown(task))?;
    // A page without the log is of more use than none.
    let (job, id) = (found.task.job, found.task.id);
    let log = app.farm.logs.with(move |logs| logs.excerpt(job, id)).await.unwrap_or_else(|e| {
        tracing::error!(target: "job_runner.farm", task = %id, error = %chain_of(&e), "the log cannot be read");
        Some(b"The log cannot be read now.".to_vec())
    });
    // A piece of a log may be cut within a character.
    Ok((found, String::from_utf8_lossy(&log.unwrap_or_default()).into_owned()))
}

pub(super) fn body(found: &TaskSituation, log: &str, visit: &Visit) -> Value {
    let TaskSituation { task, job_name, updated, failed_by, facts, .. } = found;
    let why: Vec<String> = explain(facts).iter().map(ToString::to_string).collect();
    let id = task.id.to_string();
    // Values that were read as JSON are written as JSON.
    let commands = serde_json::to_string_pretty(&task.commands).unwrap_or_default();
    let context = context! {
        task => context! {
            id, job => task.job.to_string(), job_name, name => &task.name, task_type => &task.task_type,
            priority => task.priority, badge => view::task_badge(task.status), worker => &task.worker_name,
            activity => &task.activity, updated => time(*updated, visit.zone), failed_by => failed_by.join(", "), why,
            commands, may_requeue => life::change(task.status, TaskEvent::Requeued).is_some(),
        },
        log => fill("farm_log", context!(task => task.id.to_string(), text => log)),
        form_token => &visit.form_token,
    };
    fill("farm_task", context)
}
