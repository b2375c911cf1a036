//! Workers as a whole: sign-on, sign-off, and the states that they are asked to take.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::auth::FarmCaller;
use super::refusal::FarmRefusal;
use super::register::check_texts;
use crate::server::state::AppState;
use crate::wire::flamenco::{FarmWorkerStatus, SignOn, StatusAsked};

/// Records that a worker has started.
pub(super) async fn sign_on(
    State(app): State<Arc<AppState>>,
    caller: FarmCaller,
    body: Bytes,
) -> Result<StatusCode, FarmRefusal> {
    let said: SignOn = serde_json::from_slice(&body).map_err(FarmRefusal::NotJson)?;
    check_texts(&said.nickname, &said.supported_task_types)?;
    app.store.sign_on_farm_worker(caller.id, &said, &caller.contact).await?;
    tracing::info!(target: "job_runner.farm", worker = %caller.id, "worker signed on");
    Ok(StatusCode::NO_CONTENT)
}

/// Records that a worker ends, and gives its tasks to others.
pub(super) async fn sign_off(State(app): State<Arc<AppState>>, caller: FarmCaller) -> Result<StatusCode, FarmRefusal> {
    let released = app.store.sign_off_farm_worker(caller.id, &caller.contact).await?;
    tracing::info!(target: "job_runner.farm", worker = %caller.id, tasks = released.len(), "worker signed off");
    Ok(StatusCode::NO_CONTENT)
}

/// Answers with the state that a worker is asked to take, if it is.
pub(super) async fn status_change(
    State(app): State<Arc<AppState>>,
    caller: FarmCaller,
) -> Result<Response, FarmRefusal> {
    let asked = app.store.farm_status_asked(caller.id, &caller.contact).await?;
    Ok(match asked {
        Some(status_requested) => Json(StatusAsked { status_requested }).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// Records that a worker has taken a state. A state that is not known is no reason to refuse: the worker would only say it
/// again.
pub(super) async fn acknowledge(
    State(app): State<Arc<AppState>>,
    caller: FarmCaller,
    Path(status): Path<String>,
) -> Result<StatusCode, FarmRefusal> {
    let known = FarmWorkerStatus::named(&status).filter(|status| *status != FarmWorkerStatus::Registered);
    if let Some(status) = known {
        app.store.acknowledge_farm_status(caller.id, status, &caller.contact).await?;
        tracing::info!(target: "job_runner.farm", worker = %caller.id, status = status.word(), "worker changed its state");
    }
    Ok(StatusCode::NO_CONTENT)
}
