//! Page of a run: shows its state, its course and its growing log, and offers to kill it or to run its job again.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Response};
use chrono::Utc;
use serde::Deserialize;

use super::form::FormValues;
use super::frame::{Head, Section};
use super::notice::Notice;
use super::refusal::PageRefusal;
use super::visit::{SignedIn, Visit};
use crate::run::RunId;
use crate::server::domain::life::kill_or_cancel::EndDecision;
use crate::server::domain::model::Asker;
use crate::server::domain::wait_reasons::WaitReasons;
use crate::server::state::AppState;
use crate::server::store::{RunDetails, RunOverview};
use crate::wire::reference;

mod log;
mod summary;
mod timeline;

use summary::Summary;

/// Query of the page: the first line of the log to show, counted from 0.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LogPart {
    line: Option<u64>,
}

/// Handler of `/runs/{run}`: shows the whole page.
pub(super) async fn page(
    State(app): State<Arc<AppState>>,
    Path(run): Path<String>,
    Query(asked): Query<LogPart>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let (run, details) = find(&app, &run).await?;
    let log = log::excerpt(&app.store, run.run.id, asked.line).await?;
    let title = format!("Run {} of {}", run.run.id, run.title);
    let head = Head { title: &title, section: Section::Now, script: Some("run"), by_project: None };
    let summary = Summary { run: &run, waits: waits(&app, &run), details: &details, now: Utc::now() };
    Ok(visit.show(head, &summary.page(&log, &visit.form_token, visit.zone)))
}

/// Handler of `/parts/runs/{run}`: renders everything except the log, which the script fetches again after changes.
pub(super) async fn part(
    State(app): State<Arc<AppState>>,
    Path(run): Path<String>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let (run, details) = find(&app, &run).await?;
    let summary = Summary { run: &run, waits: waits(&app, &run), details: &details, now: Utc::now() };
    Ok(Html(summary.part(&visit.form_token, visit.zone).to_string()).into_response())
}

/// Handler of the kill form: cancels a scheduled run, or requests that the worker kill it.
pub(super) async fn kill(
    State(app): State<Arc<AppState>>,
    Path(run): Path<String>,
    SignedIn(session): SignedIn,
    _: FormValues,
) -> Result<Response, PageRefusal> {
    let id = id(&run)?;
    let notice = match app.store.end_run(id, Asker::Dashboard, Utc::now()).await?.map(|ending| ending.decision) {
        None => return Err(unknown(&run)),
        Some(EndDecision::AskWorker) => Notice::done(format!("Kill of run {id} requested.")),
        Some(EndDecision::Cancel) => Notice::done(format!("Run {id} was cancelled.")),
        Some(EndDecision::Over) => Notice::refused(format!("Run {id} had already ended.")),
    };
    Ok(notice.at(&app, &session, &format!("/runs/{id}")))
}

/// Handler of the form "run again": enqueues a new run of the same job at once, with the job's children after it or
/// without.
pub(super) async fn run_again(
    State(app): State<Arc<AppState>>,
    Path(run): Path<String>,
    SignedIn(session): SignedIn,
    form: FormValues,
) -> Result<Response, PageRefusal> {
    let job = app.store.job_of_run(id(&run)?).await?.ok_or_else(|| unknown(&run))?;
    // Both submit buttons have this name; the second is there only if the job has children.
    let children = form.text("children") != Some("without");
    let made = app.store.enqueue_run_now(job, children, Asker::Dashboard, Utc::now()).await?.id;
    let without = if children { "" } else { ", without the job's children" };
    let notice = Notice::done(format!("This is run {made}, which repeats run {run}{without}."));
    Ok(notice.at(&app, &session, &format!("/runs/{made}")))
}

fn id(text: &str) -> Result<RunId, PageRefusal> {
    reference::number(text).and_then(RunId::new).ok_or_else(|| unknown(text))
}

fn unknown(run: &str) -> PageRefusal {
    PageRefusal::NotFound(format!("There is no run {run}."))
}

/// Reasons for which the run waits; `None` if it does not.
fn waits(app: &AppState, run: &RunOverview) -> Option<WaitReasons> {
    app.waiting.of(run.run.job, run.run.id)
}

async fn find(app: &AppState, run: &str) -> Result<(RunOverview, RunDetails), PageRefusal> {
    let found = app.store.overview_of_run(id(run)?).await?.ok_or_else(|| unknown(run))?;
    let details = app.store.run_details(&found.run).await?.ok_or_else(|| unknown(run))?;
    Ok((found, details))
}
