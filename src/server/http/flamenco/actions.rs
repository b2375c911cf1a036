//! Actions of operators on workers: states that they are asked to take, sleep schedules, what is forgotten.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use url::form_urlencoded;

use super::auth::FarmOperator;
use super::refusal::FarmRefusal;
use crate::server::domain::farm::sleep::SleepSchedule;
use crate::server::domain::farm::standing::StatusChange;
use crate::server::state::AppState;
use crate::wire::flamenco::{FarmWorkerStatus, ObjectId, ScheduleDocument};

#[cfg(test)]
mod tests;

/// Most fields of a form that are read.
const MAX_FIELDS: usize = 16;

/// Action on a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FarmAction {
    Ask(StatusChange),
    NoteTimeoutSeen,
    Forget,
    ForgetBlacklisted(ObjectId, String),
}

/// Carries out an action on a worker.
pub(super) async fn act(
    State(app): State<Arc<AppState>>,
    _: FarmOperator,
    Path(worker): Path<String>,
    body: Bytes,
) -> Result<Response, FarmRefusal> {
    let id = worker_id(&worker)?;
    let action = read(&body).ok_or_else(|| FarmRefusal::NotAllowed("Invalid action".to_owned()))?;
    let exists = match &action {
        FarmAction::Ask(change) => app.store.ask_farm_worker(id, *change).await?,
        FarmAction::NoteTimeoutSeen => app.store.note_farm_timeout_seen(id).await?,
        FarmAction::Forget => app.store.forget_farm_worker(id, Utc::now()).await?.is_some(),
        FarmAction::ForgetBlacklisted(job, task_type) => {
            // That there is no such line is as good.
            app.store.forget_farm_blacklist(id, *job, task_type).await?;
            app.store.farm_worker(id).await?.is_some()
        }
    };
    if !exists {
        return Err(FarmRefusal::NoWorker);
    }
    tracing::info!(target: "job_runner.farm", worker = %id, action = ?action, "operator acted on a worker");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Writes the sleep schedule of a worker.
pub(super) async fn set_schedule(
    State(app): State<Arc<AppState>>,
    _: FarmOperator,
    Path(worker): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, FarmRefusal> {
    let id = worker_id(&worker)?;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err(FarmRefusal::NotJsonType);
    }
    let schedule: ScheduleDocument = serde_json::from_slice(&body).map_err(FarmRefusal::NotJson)?;
    SleepSchedule::read(&schedule).map_err(|refusal| FarmRefusal::NotAllowed(refusal.to_string()))?;
    if app.store.set_farm_schedule(id, &schedule).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(FarmRefusal::NoWorker)
    }
}

fn worker_id(text: &str) -> Result<ObjectId, FarmRefusal> {
    text.parse().map_err(|_| FarmRefusal::NoWorker)
}

/// Reads an action; `None` for an unknown one.
fn read(form: &[u8]) -> Option<FarmAction> {
    let fields: Vec<_> = form_urlencoded::parse(form).take(MAX_FIELDS).collect();
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref());
    let is_lazy = field("lazy") == Some("true");
    match field("action")? {
        "set-status" => {
            let status = FarmWorkerStatus::named(field("status")?)?;
            let may_be_asked =
                matches!(status, FarmWorkerStatus::Asleep | FarmWorkerStatus::Awake | FarmWorkerStatus::Shutdown);
            may_be_asked.then_some(FarmAction::Ask(StatusChange { status, is_lazy }))
        }
        "shutdown" => Some(FarmAction::Ask(StatusChange { status: FarmWorkerStatus::Shutdown, is_lazy })),
        "ack-timeout" => Some(FarmAction::NoteTimeoutSeen),
        "forget-worker" => Some(FarmAction::Forget),
        "forget-blacklist-line" => {
            Some(FarmAction::ForgetBlacklisted(field("job_id")?.parse().ok()?, field("task_type")?.to_owned()))
        }
        _ => None,
    }
}
