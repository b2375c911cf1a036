//! Pages of the farm: jobs with their progress and Flamenco workers with their states on one page, and a page for each job
//! and each task.

pub(super) mod job;
pub(super) mod task;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use chrono::Utc;

use super::form::FormValues;
use super::frame::{Head, Section};
use super::notice::Notice;
use super::refusal::PageRefusal;
use super::visit::{SignedIn, Visit};
use crate::server::state::AppState;
use crate::wire::flamenco::ObjectId;
use crate::wire::flamenco::supervision::FarmWorkerCommand;
use view::FarmPage;

/// Jobs that are listed at most.
const MAX_JOBS: u32 = 100;
/// Workers that are listed at most.
const MAX_WORKERS: u32 = 500;

/// Frame of the page without a script: a page that answers a form keeps what was chosen.
const HEAD: Head<'_> = Head { title: "Farm", section: Section::Farm, script: None, by_project: None };

/// Handler of `GET /farm`: shows the whole page.
pub(super) async fn page(State(app): State<Arc<AppState>>, visit: Visit) -> Result<Response, PageRefusal> {
    let body = view::body(&load_page(&app).await?, &FormValues::default(), &visit);
    Ok(visit.show(Head { script: Some("farm"), ..HEAD }, &body))
}

/// Handler of `/parts/farm`: renders only the tables, which the script fetches again after changes.
pub(super) async fn part(State(app): State<Arc<AppState>>, visit: Visit) -> Result<Response, PageRefusal> {
    let parts = view::parts(&load_page(&app).await?, &FormValues::default(), &visit);
    Ok(Html(parts.map(|part| part.to_string()).concat()).into_response())
}

/// Handler of `POST /farm`: sends a command to the chosen workers.
pub(super) async fn command(
    State(app): State<Arc<AppState>>,
    mut visit: Visit,
    SignedIn(session): SignedIn,
    form: FormValues,
) -> Result<Response, PageRefusal> {
    let (workers, command) = match parse_command(&form) {
        Ok(wanted) => wanted,
        Err(what) => {
            visit.notice = Some(Notice::refused(what));
            let body = view::body(&load_page(&app).await?, &form, &visit);
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, visit.show(HEAD, &body)).into_response());
        }
    };
    // Whatever a form says otherwise, a task is not interrupted unless that is asked for.
    let is_lazy = form.text("pace") != Some("now");
    let mut done = 0_usize;
    // The page offers no more workers than this; a longer list was not sent by it.
    for worker in workers.into_iter().take(MAX_WORKERS as usize) {
        done += usize::from(app.store.command_farm_worker(worker, command, is_lazy, Utc::now()).await?);
    }
    tracing::info!(target: "job_runner.farm", command = command.word(), workers = done, "operator commands workers");
    Ok(view::outcome(command, done).at(&app, &session, "/farm"))
}

/// Reads the chosen workers and the command from the form; the error is a sentence for the page.
fn parse_command(form: &FormValues) -> Result<(Vec<ObjectId>, FarmWorkerCommand), &'static str> {
    let named = |word: &str| FarmWorkerCommand::ALL.into_iter().find(|command| command.word() == word);
    let command = form.text("action").and_then(named).ok_or("Choose an action.")?;
    // What is no id was not sent by the page, and names no worker.
    let workers: Vec<ObjectId> = form.all("worker").filter_map(|id| id.parse().ok()).collect();
    if workers.is_empty() { Err("Choose a worker.") } else { Ok((workers, command)) }
}

async fn load_page(app: &AppState) -> Result<FarmPage, PageRefusal> {
    let now = Utc::now();
    // One more of each than is listed, to know whether there are more.
    let mut jobs = app.store.farm_jobs(None, MAX_JOBS + 1).await?;
    let has_more_jobs = jobs.len() > MAX_JOBS as usize;
    jobs.truncate(MAX_JOBS as usize);
    let mut workers = app.store.farm_workers(MAX_WORKERS + 1, now).await?;
    let has_more_workers = workers.len() > MAX_WORKERS as usize;
    workers.truncate(MAX_WORKERS as usize);
    Ok(FarmPage { jobs, has_more_jobs, workers, has_more_workers, now })
}

/// Reads the id of a job or task from a path.
fn id(text: &str) -> Result<ObjectId, PageRefusal> {
    text.parse().map_err(|_| unknown(text))
}

fn unknown(text: &str) -> PageRefusal {
    PageRefusal::NotFound(format!("There is no Flamenco job or task {text}."))
}

/// Notice of tasks that were put into the queue again.
fn requeued(tasks: u64) -> Notice {
    match tasks {
        0 => Notice::refused("Nothing was requeued: it waits already, or a worker executes it."),
        1 => Notice::done("1 task was requeued."),
        tasks => Notice::done(format!("{tasks} tasks were requeued.")),
    }
}
