//! Kill requests: created by a caller who wants a run to end, and followed by the worker that executes it.

use chrono::Utc;

use super::{WriteRefusal, check_visible};
use crate::run::{KillId, RunId};
use crate::server::domain::resource::Resource;
use crate::server::http::rest::ApiCall;
use crate::server::http::rest::answer::ApiAnswer;
use crate::server::http::rest::request_body::Form;
use crate::server::state::AppState;
use crate::server::store::{KillChange, KillPatch};

pub async fn create(app: &AppState, form: &Form, call: &ApiCall<'_>) -> Result<ApiAnswer, WriteRefusal> {
    let run = form.needed_one("run", Resource::Run)?;
    check_visible(app, call, &[(Resource::Run, Some(run))]).await?;
    let Some(run) = RunId::new(run) else { return Ok(ApiAnswer::not_found()) };
    let request = app.store.end_run(run, call.asker(), Utc::now()).await?.and_then(|ending| ending.request);
    Ok(request.map_or_else(ApiAnswer::not_found, |kill| ApiAnswer::created(Resource::KillRequest.path(kill.id.get()))))
}

pub async fn change(app: &AppState, id: i64, form: &Form, call: &ApiCall<'_>) -> Result<ApiAnswer, WriteRefusal> {
    let enqueue_dts = form.time("enqueue_dts")?.flatten();
    let patch = KillPatch { enqueue_dts, execute_dts: form.time("execute_dts")?.flatten() };
    let Some(kill) = KillId::new(id) else { return Ok(ApiAnswer::not_found()) };
    Ok(match app.store.change_kill(kill, patch, call.actor()).await? {
        KillChange::Made => ApiAnswer::accepted(),
        KillChange::Theirs => ApiAnswer::unauthorised(),
        KillChange::Unknown => ApiAnswer::not_found(),
    })
}
