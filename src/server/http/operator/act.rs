//! Commands to workers: shut down, restart, sleep and wake.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::Utc;

use super::answer::{Body, OperatorRefusal};
use super::find::find_worker;
use super::views;
use crate::run::Pace;
use crate::server::domain::worker_state::{Cannot, RequestVerdict};
use crate::server::state::AppState;
use crate::server::store::CommandRequest;
use crate::wire::operator::{Acted, ActionName, ActionRequest, WorkerActed};

/// Most workers that one request may name.
const MOST: usize = 1000;
/// Longest name of the one who asks, and longest reason, in characters.
const WORDS: usize = 1000;
/// Name of the one who asks, where the request has none.
const SOMEBODY: &str = "operator";

/// Gives a command to each named worker and answers with one result for each. A worker that is unknown or cannot follow
/// does not stop the others.
pub(super) async fn act(
    State(app): State<Arc<AppState>>,
    Body(act): Body<ActionRequest>,
) -> Result<Json<Acted>, OperatorRefusal> {
    if act.workers.is_empty() || act.workers.len() > MOST {
        return Err(OperatorRefusal::Malformed(format!("name 1 to {MOST} workers")));
    }
    let wish = wish(&act)?;
    let mut workers = Vec::with_capacity(act.workers.len());
    for named in act.workers {
        workers.push(ask(&app, named, &wish).await?);
    }
    Ok(Json(Acted { workers }))
}

fn wish(act: &ActionRequest) -> Result<CommandRequest, OperatorRefusal> {
    let words = |text: &Option<String>, what: &str| {
        let text = text.as_deref().unwrap_or_default().trim().to_owned();
        let length = text.chars().count();
        if length > WORDS {
            return Err(OperatorRefusal::Malformed(format!("the {what} is too long; {WORDS} characters are allowed")));
        }
        Ok(text)
    };
    let (by, reason) = (words(&act.by, "name of who asks")?, words(&act.reason, "reason")?);
    Ok(CommandRequest {
        action: views::asked(act.action),
        // A wake-up stops no runs, so `now` has no meaning for it.
        pace: if act.now && act.action != ActionName::Wake { Pace::Now } else { Pace::AfterRuns },
        by: if by.is_empty() { SOMEBODY.to_owned() } else { by },
        reason,
    })
}

async fn ask(app: &AppState, named: String, wish: &CommandRequest) -> Result<WorkerActed, OperatorRefusal> {
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
    let Some(asked) = app.store.request_command(worker, wish, Utc::now()).await? else {
        let error = format!("there is no worker {named:?}");
        return Ok(refused(named, error));
    };
    let overview = app.store.overview_of_worker(worker).await?;
    let title = overview.as_ref().map_or(named.clone(), |overview| overview.worker.title.clone());
    let (what, error) = match asked {
        Ok(RequestVerdict::Ask) => ("requested", None),
        Ok(RequestVerdict::Cancel) => ("cancelled", None),
        Ok(RequestVerdict::Already) => ("already", None),
        Err(cannot) => ("refused", Some(sentence(&title, cannot))),
    };
    let worker = overview.as_ref().map(|overview| views::worker(overview, app.presence.is_silent(worker)));
    Ok(WorkerActed { named, what: what.to_owned(), error, worker })
}

fn sentence(title: &str, cannot: Cannot) -> String {
    format!("worker {title} {cannot}")
}
