//! Page "Workers": shows the state of workers and pools, and sends commands to workers.

mod confirmation;
#[cfg(test)]
mod sample;
mod view;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use chrono::Utc;
use minijinja::Value;

use super::form::FormValues;
use super::frame::{Head, Section};
use super::notice::Notice;
use super::refusal::PageRefusal;
use super::visit::{SignedIn, Visit};
use crate::run::{Pace, WorkerCommand};
use crate::server::domain::model::WorkerId;
use crate::server::domain::rules;
use crate::server::state::AppState;
use crate::server::store::CommandRequest;
use crate::server::store::rest_lists::{ListQuery, Scope};
use confirmation::Confirmation;
use view::{RequestSummary, WorkersPage};

/// Workers, and pools, that are listed at most.
const LISTED: u32 = 1000;
/// Runs in progress that are read at most, for all workers together.
const RUNS: u32 = 2000;
/// Name under which commands from the dashboard are recorded.
const BY: &str = "operator";

/// Frame of the page without a script: a page that answers a form keeps what was typed, so no script replaces its
/// parts.
const HEAD: Head<'_> = Head { title: "Workers", section: Section::Workers, script: None, by_project: None };

/// Handler of `GET /workers`: shows the whole page.
pub(super) async fn page(State(app): State<Arc<AppState>>, visit: Visit) -> Result<Response, PageRefusal> {
    let body = view::body(&load_page(&app).await?, &FormValues::default(), &visit.form_token, visit.zone);
    let head = Head { script: Some("workers"), ..HEAD };
    Ok(visit.show(head, &body))
}

/// Handler of `/parts/workers`: renders only the tables of workers and pools, which the script fetches again after
/// changes.
pub(super) async fn part(State(app): State<Arc<AppState>>, visit: Visit) -> Result<Response, PageRefusal> {
    let parts: [Value; 2] = view::parts(&load_page(&app).await?, &FormValues::default(), visit.zone);
    Ok(Html(parts.map(|part| part.to_string()).concat()).into_response())
}

/// Handler of `POST /workers`: sends a command to the chosen workers, after a confirmation where one is needed.
pub(super) async fn command(
    State(app): State<Arc<AppState>>,
    mut visit: Visit,
    SignedIn(session): SignedIn,
    form: FormValues,
) -> Result<Response, PageRefusal> {
    let (workers, command) = match parse_command(&form) {
        Ok(wanted) => wanted,
        Err(what) => {
            // The page is shown again with what was chosen and typed.
            visit.notice = Some(Notice::refused(what));
            let body = view::body(&load_page(&app).await?, &form, &visit.form_token, visit.zone);
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, visit.show(HEAD, &body)).into_response());
        }
    };
    let page = load_page(&app).await?;
    let confirmation = Confirmation::of(&page, &workers, &command);
    if let Some(confirmation) =
        confirmation.filter(|confirmation| form.text("words") != Some(confirmation.words.as_str()))
    {
        let body = confirmation.body(&workers, &command, &form, &visit.form_token);
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, visit.show(HEAD, &body)).into_response());
    }
    Ok(request_command(&app, &workers, &command).await?.at(&app, &session, "/workers"))
}

/// Reads the chosen workers and the command from the form; the error is a sentence for the page.
fn parse_command(form: &FormValues) -> Result<(Vec<WorkerId>, CommandRequest), String> {
    let action = form.text("action").and_then(WorkerCommand::named).ok_or("Choose an action.")?;
    let workers: Vec<WorkerId> = form.all("worker").filter_map(|id| id.parse().ok().and_then(WorkerId::new)).collect();
    if workers.is_empty() {
        return Err("Choose a worker.".to_owned());
    }
    let reason =
        rules::reason(form.text("reason").unwrap_or_default()).map_err(|e| format!("Nothing was requested: {e}."))?;
    // Waking up stops nothing, so it has no pace.
    let is_now = form.text("pace") == Some("now") && action != WorkerCommand::Wake;
    let pace = if is_now { Pace::Now } else { Pace::AfterRuns };
    Ok((workers, CommandRequest { action, pace, by: BY.to_owned(), reason: reason.to_owned() }))
}

async fn request_command(
    app: &AppState,
    workers: &[WorkerId],
    command: &CommandRequest,
) -> Result<Notice, PageRefusal> {
    let mut asked = Vec::new();
    // The page offers no more workers than this; a longer list was not sent by it.
    for worker in workers.iter().take(LISTED as usize) {
        let Some(found) = app.store.worker(*worker).await? else { continue };
        if let Some(outcome) = app.store.request_command(*worker, command, Utc::now()).await? {
            asked.push(RequestSummary { title: found.title.into(), outcome });
        }
    }
    Ok(view::outcome_notice(&asked, command.action))
}

async fn load_page(app: &AppState) -> Result<WorkersPage, PageRefusal> {
    let now = Utc::now();
    let everything = ListQuery { scope: Scope::All, terms: Vec::new(), limit: Some(LISTED), offset: 0 };
    let workers = app.store.overview_of_workers(None, LISTED).await?;
    let ids = workers.iter().map(|overview| overview.worker.id);
    let all = app.store.count_workers().await?;
    Ok(WorkersPage {
        unlisted: all.saturating_sub(workers.len() as u64),
        silent: ids.filter(|worker| app.silent_workers.is_silent(*worker)).collect(),
        workers,
        pools: app.store.pools(&everything).await?.things,
        runs: app.store.runs_under_way(RUNS).await?,
        now,
    })
}
