//! Workers: lists them, creates them with a secret, and has them shut down, restart, sleep or wake.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use chrono::Utc;

use super::find::{find_worker, place_name};
use super::paging::{self, MAX_PAGE, PageQuery, limit};
use super::refusal::{Body, OperatorRefusal};
use super::views;
use crate::run::{ApiKey, Pace, Secret};
use crate::server::domain::title::Title;
use crate::server::domain::worker_state::{CommandRefusal, RequestVerdict};
use crate::server::identity::token;
use crate::server::state::AppState;
use crate::server::store::{self, CommandRequest, EntityName, WorkerOverview};
use crate::wire::operator::{Acted, ActionName, ActionRequest, MadeWorker, NewWorkerRequest, WorkerActed, WorkerList};

/// Maximum number of workers that one request may name.
const MAX_WORKERS: usize = 1000;
/// Longest name of the one who asks, and longest reason, in characters.
const MAX_TEXT: usize = 1000;
/// Name of the one who asks, where the request has none.
const UNNAMED: &str = "operator";

/// Returns a page of workers, in the order of their titles.
pub(super) async fn list(
    State(app): State<Arc<AppState>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<WorkerList>, OperatorRefusal> {
    let Query(query) = query.map_err(|e| OperatorRefusal::Malformed(e.body_text()))?;
    let (after, limit) =
        (query.after.as_deref().map(paging::after_title).transpose()?, limit(query.limit.or(Some(MAX_PAGE))));
    let mut found = app.store.overview_of_workers(after.as_ref(), limit + 1).await?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let total = if after.is_none() { Some(app.store.count_workers().await?) } else { None };
    let mark = |last: &WorkerOverview| paging::mark_of_title(&last.worker.title, last.worker.id.get());
    let next = found.last().filter(|_| has_more).map(mark);
    let view = |worker: &WorkerOverview| views::worker(worker, app.silent_workers.is_silent(worker.worker.id));
    Ok(Json(WorkerList { workers: found.iter().map(view).collect(), total, next }))
}

/// Creates a worker with a random secret, which only this answer contains.
pub(super) async fn create(
    State(app): State<Arc<AppState>>,
    Body(new): Body<NewWorkerRequest>,
) -> Result<(StatusCode, Json<MadeWorker>), OperatorRefusal> {
    let title = Title::new(&new.title)?;
    let api_key =
        // The title becomes the key, so it has to follow the rules of keys.
        ApiKey::parse(&title).map_err(|what| OperatorRefusal::Malformed(format!("the name {:?} {what}", title.as_str())))?;
    let pool = place_name(new.pool.as_deref(), EntityName::OrCreated)?;
    let secret = token::random().map_err(|e| OperatorRefusal::Conflict(format!("no secret can be made: {e}")))?;
    let new = store::NewWorker { title, api_key, secret: Secret::new(secret.clone().into_bytes()) };
    let worker = app.store.add_worker(&pool, &new).await?;
    let made = MadeWorker {
        id: worker.id.get(),
        api_key: worker.api_key.to_string(),
        secret,
        broadcaster_port: app.settings.broadcaster.port(),
        events_port: app.settings.events.port(),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Gives a command to each named worker and answers with one result for each. A worker that is unknown or cannot follow
/// does not stop the others.
pub(super) async fn command(
    State(app): State<Arc<AppState>>,
    Body(asked): Body<ActionRequest>,
) -> Result<Json<Acted>, OperatorRefusal> {
    if asked.workers.is_empty() || asked.workers.len() > MAX_WORKERS {
        return Err(OperatorRefusal::Malformed(format!("name 1 to {MAX_WORKERS} workers")));
    }
    let command = command_of(&asked)?;
    let mut workers = Vec::with_capacity(asked.workers.len());
    for named in asked.workers {
        workers.push(request(&app, named, &command).await?);
    }
    Ok(Json(Acted { workers }))
}

fn command_of(asked: &ActionRequest) -> Result<CommandRequest, OperatorRefusal> {
    let bounded = |text: &Option<String>, what: &str| {
        let text = text.as_deref().unwrap_or_default().trim().to_owned();
        let length = text.chars().count();
        if length > MAX_TEXT {
            return Err(OperatorRefusal::Malformed(format!(
                "the {what} is too long; {MAX_TEXT} characters are allowed"
            )));
        }
        Ok(text)
    };
    let (by, reason) = (bounded(&asked.by, "name of who asks")?, bounded(&asked.reason, "reason")?);
    Ok(CommandRequest {
        action: views::command_named(asked.action),
        // A wake-up stops no runs, so `now` has no meaning for it.
        pace: if asked.now && asked.action != ActionName::Wake { Pace::Now } else { Pace::AfterRuns },
        by: if by.is_empty() { UNNAMED.to_owned() } else { by },
        reason,
    })
}

async fn request(app: &AppState, named: String, command: &CommandRequest) -> Result<WorkerActed, OperatorRefusal> {
    let refused = |named: String, error: String| WorkerActed {
        named,
        what: "refused".to_owned(),
        error: Some(error),
        worker: None,
    };
    let worker = match find_worker(app, &named).await? {
        Ok(worker) => worker,
        Err(error) => return Ok(refused(named, error)),
    };
    let Some(verdict) = app.store.request_command(worker, command, Utc::now()).await? else {
        let error = format!("there is no worker {named:?}");
        return Ok(refused(named, error));
    };
    let overview = app.store.overview_of_worker(worker).await?;
    let title = overview.as_ref().map_or(named.clone(), |overview| overview.worker.title.to_string());
    let (what, error) = match verdict {
        Ok(RequestVerdict::Ask) => ("requested", None),
        Ok(RequestVerdict::Cancel) => ("cancelled", None),
        Ok(RequestVerdict::Already) => ("already", None),
        Err(cannot) => ("refused", Some(sentence(&title, cannot))),
    };
    let worker = overview.as_ref().map(|overview| views::worker(overview, app.silent_workers.is_silent(worker)));
    Ok(WorkerActed { named, what: what.to_owned(), error, worker })
}

fn sentence(title: &str, cannot: CommandRefusal) -> String {
    format!("worker {title} {cannot}")
}
