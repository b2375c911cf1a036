//! Logs, one for each run. A second creation replaces the text of the first, so that a worker whose answer was lost can
//! go on.

use super::{WriteRefusal, check_visible};
use crate::run::RunId;
use crate::server::domain::model::LogId;
use crate::server::domain::resource::Resource;
use crate::server::http::rest::ApiCall;
use crate::server::http::rest::answer::ApiAnswer;
use crate::server::http::rest::request_body::Form;
use crate::server::state::AppState;
use crate::server::store::LogChange;

pub async fn create(app: &AppState, form: &Form, call: &ApiCall<'_>) -> Result<ApiAnswer, WriteRefusal> {
    let run = form.needed_one("run", Resource::Run)?;
    let content = form.text("content")?.flatten();
    check_visible(app, call, &[(Resource::Run, Some(run))]).await?;
    let Some(run) = RunId::new(run) else { return Ok(ApiAnswer::not_found()) };
    Ok(match app.store.put_log(run, content.as_deref(), call.actor()).await? {
        LogChange::Kept(log) => ApiAnswer::created(Resource::RunLog.path(log.get())),
        LogChange::Refused(refusal) => ApiAnswer::refused(refusal),
        LogChange::Unknown => ApiAnswer::not_found(),
    })
}

pub async fn change(app: &AppState, id: i64, form: &Form, call: &ApiCall<'_>) -> Result<ApiAnswer, WriteRefusal> {
    // A body without the field changes nothing.
    let Some(content) = form.text("content")? else { return Ok(ApiAnswer::accepted()) };
    let Some(log) = LogId::new(id) else { return Ok(ApiAnswer::not_found()) };
    let Some(run) = app.store.run_of_log(log).await? else { return Ok(ApiAnswer::not_found()) };
    Ok(match app.store.put_log(run, content.as_deref(), call.actor()).await? {
        LogChange::Kept(_) => ApiAnswer::accepted(),
        LogChange::Refused(refusal) => ApiAnswer::refused(refusal),
        LogChange::Unknown => ApiAnswer::not_found(),
    })
}
