//! Workers: record their answers to pings and their status reports, and answer with the request that is open for them.

use chrono::Utc;

use super::WriteRefusal;
use crate::run::{RequestId, WorkerState};
use crate::server::domain::model::WorkerId;
use crate::server::http::rest::ApiCall;
use crate::server::http::rest::answer::ApiAnswer;
use crate::server::http::rest::request_body::{BodyFault, Form};
use crate::server::identity::auth::Identity;
use crate::server::identity::instances;
use crate::server::state::AppState;
use crate::server::store::{AnswerKind, WorkerAnswer as Pong, WorkerReport};
use crate::wire::lack;

/// Longest version text in bytes, which is the size of the original's column.
const VERSION: usize = 100;

pub async fn change(app: &AppState, id: i64, form: &Form, call: &ApiCall<'_>) -> Result<ApiAnswer, WriteRefusal> {
    let version = form.text("worker_version")?.flatten();
    if version.as_ref().is_some_and(|version| version.len() > VERSION) {
        return Err(BodyFault::Value(format!("worker_version is longer than {VERSION} bytes")).into());
    }
    let at = form.time("ping_response_dts")?.flatten();
    // Others may change a worker's fields, but only the worker itself can report its state.
    let kind = if is_itself(call, id) { kind(form)? } else { AnswerKind::Unsaid };
    let is_ours = matches!(kind, AnswerKind::Ours(_));
    let has_left = matches!(kind, AnswerKind::Ours(WorkerReport { state: WorkerState::Offline, .. }));
    let pong = Pong { at, version, slots: form.count("concurrent_jobs")?.flatten(), kind };
    let Some(worker) = WorkerId::new(id) else { return Ok(ApiAnswer::not_found()) };
    let request = app.store.record_status(worker, &pong, Utc::now()).await?;
    // Another instance can begin at once, rather than after this one has been silent for long enough.
    if let (true, Some(instance)) = (has_left, call.instance) {
        instances::release(&app.store, &app.instances, worker, instance).await?;
    }
    let told = is_ours.then_some(request);
    Ok(ApiAnswer { request: told, ..ApiAnswer::accepted() })
}

fn is_itself(call: &ApiCall<'_>, id: i64) -> bool {
    matches!(call.identity, Identity::Worker(worker) if worker.id.get() == id)
}

/// Reads the status report of this project's worker; the original's worker sends none.
fn kind(form: &Form) -> Result<AnswerKind, BodyFault> {
    let Some(duty) = form.text("duty")?.flatten() else { return Ok(AnswerKind::Original) };
    let request = |name| Ok(form.number(name)?.flatten().and_then(RequestId::new));
    Ok(AnswerKind::Ours(WorkerReport {
        state: WorkerState::named(&duty),
        slots_taken: form.count("seats_taken")?.flatten().unwrap_or(0),
        outbox: form.count("outbox")?.flatten().unwrap_or(0),
        restarts: form.truth("restarts")?.flatten().unwrap_or(false),
        held: form.json("held").map(lack::read).unwrap_or_default(),
        follows: request("request_followed")?,
        done: request("request_done")?,
    }))
}
