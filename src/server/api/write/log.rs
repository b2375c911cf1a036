//! Logs: one of each run. What is sent a second time takes the place of the first, so that a worker whose answer was lost
//! can go on.

use super::{Stop, visible};
use crate::run::RunId;
use crate::server::api::Call;
use crate::server::api::answer::Answer;
use crate::server::api::form::Form;
use crate::server::model::LogId;
use crate::server::office::Office;
use crate::server::resource::Resource;
use crate::server::store::LogChange;

pub async fn create(office: &Office, form: &Form, call: &Call<'_>) -> Result<Answer, Stop> {
    let run = form.needed_one("run", Resource::Run)?;
    let content = form.text("content")?.flatten();
    visible(office, call, &[(Resource::Run, Some(run))]).await?;
    let Some(run) = RunId::new(run) else { return Ok(Answer::not_found()) };
    Ok(match office.store.put_log(run, content.as_deref(), call.who()).await? {
        LogChange::Kept(log) => Answer::created(Resource::RunLog.path(log.get())),
        LogChange::Refused(refusal) => Answer::refused(refusal),
        LogChange::Unknown => Answer::not_found(),
    })
}

pub async fn change(office: &Office, id: i64, form: &Form, call: &Call<'_>) -> Result<Answer, Stop> {
    // Nothing is mentioned, so nothing changes.
    let Some(content) = form.text("content")? else { return Ok(Answer::accepted()) };
    let Some(log) = LogId::new(id) else { return Ok(Answer::not_found()) };
    let Some(run) = office.store.run_of_log(log).await? else { return Ok(Answer::not_found()) };
    Ok(match office.store.put_log(run, content.as_deref(), call.who()).await? {
        LogChange::Kept(_) => Answer::accepted(),
        LogChange::Refused(refusal) => Answer::refused(refusal),
        LogChange::Unknown => Answer::not_found(),
    })
}
