//! Requests to kill: made by who wants a run to end, followed by who executes it.

use chrono::Utc;

use super::{Stop, visible};
use crate::run::{KillId, RunId};
use crate::server::api::Call;
use crate::server::api::answer::Answer;
use crate::server::api::form::Form;
use crate::server::office::Office;
use crate::server::resource::Resource;
use crate::server::store::{KillChange, KillPatch};

pub async fn create(office: &Office, form: &Form, call: &Call<'_>) -> Result<Answer, Stop> {
    let run = form.needed_one("run", Resource::Run)?;
    visible(office, call, &[(Resource::Run, Some(run))]).await?;
    let Some(run) = RunId::new(run) else { return Ok(Answer::not_found()) };
    let kill = office.store.ask_kill(run, call.asker(), Utc::now()).await?;
    Ok(kill.map_or_else(Answer::not_found, |kill| Answer::created(Resource::KillRequest.path(kill.id.get()))))
}

pub async fn change(office: &Office, id: i64, form: &Form, call: &Call<'_>) -> Result<Answer, Stop> {
    let enqueue_dts = form.time("enqueue_dts")?.flatten();
    let patch = KillPatch { enqueue_dts, execute_dts: form.time("execute_dts")?.flatten() };
    let Some(kill) = KillId::new(id) else { return Ok(Answer::not_found()) };
    Ok(match office.store.change_kill(kill, patch, call.who()).await? {
        KillChange::Made => Answer::accepted(),
        KillChange::Theirs => Answer::unauthorised(),
        KillChange::Unknown => Answer::not_found(),
    })
}
