//! Tasks: gives them to workers, and takes their updates.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::auth::FarmCaller;
use super::refusal::FarmRefusal;
use crate::run::chain_of;
use crate::server::identity::token;
use crate::server::state::AppState;
use crate::server::store::farm::{Assignment, FarmTask, FarmUpdate, FarmWorker, UpdateAdmission, UpdateOutcome};
use crate::wire::flamenco::{
    MayKeepRunning, ObjectId, OutputProduced, StatusAsked, TaskDocument, TaskUpdate, log_line,
};

/// Longest activity that is kept, in characters.
const MAX_ACTIVITY: usize = 1000;

/// Gives a worker a task, the one that it already has, or none.
pub(super) async fn assign(State(app): State<Arc<AppState>>, caller: FarmCaller) -> Result<Response, FarmRefusal> {
    Ok(match app.store.assign_farm_task(caller.id, &caller.contact).await? {
        Assignment::UnknownWorker => return Err(FarmRefusal::UnknownWorker(caller.id)),
        Assignment::NoTypes => return Err(FarmRefusal::NoTypes),
        Assignment::StatusAsked(status_requested) => {
            (StatusCode::LOCKED, Json(StatusAsked { status_requested })).into_response()
        }
        Assignment::Nothing => StatusCode::NO_CONTENT.into_response(),
        Assignment::Again(worker, task) => Json(document(&app, &worker, task)).into_response(),
        Assignment::Given(worker, task) => {
            begin_log(&app, &worker, &task, &caller).await;
            tracing::info!(target: "job_runner.farm", worker = %worker.id, task = %task.id, "task assigned");
            Json(document(&app, &worker, task)).into_response()
        }
    })
}

/// Begins a log for a worker that has got a task. Without it the task is executed all the same.
async fn begin_log(app: &AppState, worker: &FarmWorker, task: &FarmTask, caller: &FarmCaller) {
    // The same line as the original's: people search their logs for it.
    let text = format!("Manager assigned task {} to worker {}", task.id, worker.nickname);
    let (line, job, id) = (log_line(caller.contact.at, text), task.job, task.id);
    let begun = app.farm.logs.with(move |logs| {
        logs.rotate(job, id)?;
        logs.append(job, id, &line)
    });
    if let Err(e) = begun.await {
        tracing::error!(target: "job_runner.farm", task = %id, error = %chain_of(&e), "the log cannot be begun");
    }
}

fn document(app: &AppState, worker: &FarmWorker, mut task: FarmTask) -> TaskDocument {
    for command in &mut task.commands {
        app.settings.farm.variables.expand_settings(&mut command.settings, &worker.platform);
    }
    TaskDocument {
        id: task.id,
        etag: String::new(),
        job: task.job.to_string(),
        manager: String::new(),
        project: String::new(),
        user: String::new(),
        name: task.name,
        status: Some(task.status),
        priority: task.priority,
        job_priority: task.job_priority,
        job_type: task.job_type,
        task_type: task.task_type,
        commands: task.commands,
        parents: Vec::new(),
        activity: task.activity,
        worker: task.worker_name,
    }
}

/// Takes an update: first its lines into the log, then its state into the store. A death between the two leaves lines that
/// are sent again, and loses none.
pub(super) async fn update(
    State(app): State<Arc<AppState>>,
    caller: FarmCaller,
    Path(task): Path<String>,
    body: Bytes,
) -> Result<StatusCode, FarmRefusal> {
    let id = task_id(&task)?;
    let said: TaskUpdate = serde_json::from_slice(&body).map_err(FarmRefusal::NotJson)?;
    // The digest is that of the bytes: what is sent again comes from the worker's queue as it was.
    let (at, digest) = (caller.contact.at, token::hex(&Sha256::digest(&body)));
    let job = match app.store.admit_farm_update(caller.id, id, &digest, at).await? {
        UpdateAdmission::Unknown => return Err(FarmRefusal::UnknownTask(task)),
        UpdateAdmission::OfAnother => return Err(FarmRefusal::OfAnother(id)),
        // Its answer was lost, and the worker sends it again.
        UpdateAdmission::Repeated => return Ok(StatusCode::NO_CONTENT),
        UpdateAdmission::New(job) => job,
    };
    if let Some(log) = said.log.filter(|log| !log.is_empty()) {
        app.farm.logs.with(move |logs| logs.append(job, id, &log)).await.map_err(FarmRefusal::Log)?;
    }
    let activity = said.activity.map(|activity| activity.chars().take(MAX_ACTIVITY).collect());
    let update = FarmUpdate { task: id, worker: caller.id, digest, status: said.task_status, activity, at };
    match app.store.record_farm_update(&update, app.settings.farm.failures).await? {
        UpdateOutcome::Unknown => Err(FarmRefusal::UnknownTask(task)),
        UpdateOutcome::OfAnother => Err(FarmRefusal::OfAnother(id)),
        UpdateOutcome::Dropped => Ok(StatusCode::NO_CONTENT),
        UpdateOutcome::Recorded(status) => {
            let (status, worker) = (status.word(), caller.id);
            tracing::debug!(target: "job_runner.farm", %worker, task = %id, status, "update recorded");
            Ok(StatusCode::NO_CONTENT)
        }
    }
}

/// Takes a task from the worker that gives it back. One that it does not have is no reason to refuse.
pub(super) async fn give_back(
    State(app): State<Arc<AppState>>,
    caller: FarmCaller,
    Path(task): Path<String>,
) -> Result<StatusCode, FarmRefusal> {
    let id = task_id(&task)?;
    match app.store.give_back_farm_task(caller.id, id, caller.contact.at).await? {
        None => Err(FarmRefusal::UnknownTask(task)),
        Some(was_taken) => {
            if was_taken {
                tracing::info!(target: "job_runner.farm", worker = %caller.id, task = %id, "task given back");
            }
            Ok(StatusCode::NO_CONTENT)
        }
    }
}

/// Answers whether a worker may go on with a task. Every answer but that to a stranger is JSON, also where the store cannot
/// be asked: then the worker goes on.
pub(super) async fn may_i_run(
    State(app): State<Arc<AppState>>,
    caller: Result<FarmCaller, FarmRefusal>,
    task: Result<Path<String>, PathRejection>,
) -> Result<Json<MayKeepRunning>, FarmRefusal> {
    let goes_on = MayKeepRunning { may_keep_running: true, reason: None, status_requested: None };
    let caller = match caller {
        Ok(caller) => caller,
        Err(FarmRefusal::Store(_)) => return Ok(Json(goes_on)),
        Err(refusal) => return Err(refusal),
    };
    // A path that is no text is that of no task.
    let Some(id) = task.ok().and_then(|Path(task)| task.parse().ok()) else {
        let reason = Some("unable to find task".to_owned());
        return Ok(Json(MayKeepRunning { may_keep_running: false, reason, status_requested: None }));
    };
    match app.store.may_keep_running(caller.id, id, &caller.contact).await {
        Ok(answer) => Ok(Json(answer)),
        Err(e) => {
            if !e.is_outage() {
                let (worker, error) = (caller.id, chain_of(&e));
                tracing::error!(target: "job_runner.farm", %worker, task = %id, %error, "worker goes on without an answer");
            }
            Ok(Json(goes_on))
        }
    }
}

/// Takes note of files that a command wrote.
pub(super) async fn output_produced(caller: FarmCaller, body: Bytes) -> Result<StatusCode, FarmRefusal> {
    let said: OutputProduced = serde_json::from_slice(&body).map_err(FarmRefusal::NotJson)?;
    if said.paths.is_empty() {
        return Err(FarmRefusal::NoPaths);
    }
    tracing::debug!(target: "job_runner.farm", worker = %caller.id, files = said.paths.len(), "output produced");
    Ok(StatusCode::NO_CONTENT)
}

fn task_id(text: &str) -> Result<ObjectId, FarmRefusal> {
    text.parse().map_err(|_| FarmRefusal::UnknownTask(text.to_owned()))
}
