//! What is written. Whatever is named in a body must be visible to who asks, as in the original. What a body names
//! beyond what can be changed is ignored, as the original ignores what it does not know.

mod job;
mod kill;
mod log;
mod run;
mod worker;

use super::Call;
use super::answer::Answer;
use super::form::{Form, Wrong};
use super::permission::check_write;
use super::read::may_see;
use crate::server::office::Office;
use crate::server::resource::Resource;
use crate::server::store::StoreError;

/// Why something was not written.
enum Stop {
    /// For who asked.
    Answer(Answer),
    /// For us.
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(what) => Self::Answer(Answer::bad(&what)),
            error => Self::Store(error),
        }
    }
}

impl From<Answer> for Stop {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

impl From<Wrong> for Stop {
    fn from(wrong: Wrong) -> Self {
        Self::Answer(wrong.into())
    }
}

fn answered(result: Result<Answer, Stop>) -> Result<Answer, StoreError> {
    match result {
        Ok(answer) | Err(Stop::Answer(answer)) => Ok(answer),
        Err(Stop::Store(error)) => Err(error),
    }
}

/// Makes one of a resource.
pub async fn create(office: &Office, resource: Resource, call: &Call<'_>) -> Result<Answer, StoreError> {
    answered(created(office, resource, call).await)
}

async fn created(office: &Office, resource: Resource, call: &Call<'_>) -> Result<Answer, Stop> {
    check_write(call, office.settings.worker_writes(), resource, None)?;
    let form = Form::read(call.body, call.kind, office.settings.time_zone)?;
    match resource {
        Resource::Run => run::create(office, &form, call).await,
        Resource::RunLog => log::create(office, &form, call).await,
        Resource::KillRequest => kill::create(office, &form, call).await,
        Resource::Job => job::create(office, &form, call).await,
        _ => Ok(Answer::not_allowed(resource.list_methods())),
    }
}

/// Changes one of a resource.
pub async fn change(office: &Office, resource: Resource, id: &str, call: &Call<'_>) -> Result<Answer, StoreError> {
    answered(changed(office, resource, id, call).await)
}

async fn changed(office: &Office, resource: Resource, id: &str, call: &Call<'_>) -> Result<Answer, Stop> {
    let id = may_see(office, resource, id, call).await??;
    check_write(call, office.settings.worker_writes(), resource, Some(id))?;
    let form = Form::read(call.body, call.kind, office.settings.time_zone)?;
    match resource {
        Resource::Run => run::change(office, id, &form, call).await,
        Resource::RunLog => log::change(office, id, &form, call).await,
        Resource::KillRequest => kill::change(office, id, &form, call).await,
        Resource::Job => job::change(office, id, &form, call).await,
        Resource::Worker => worker::change(office, id, &form, call).await,
        _ => Ok(Answer::not_allowed(resource.detail_methods())),
    }
}

/// Refuses what names things that are not there or not to be seen.
async fn visible(office: &Office, call: &Call<'_>, named: &[(Resource, Option<i64>)]) -> Result<(), Stop> {
    for (resource, id) in named.iter().filter_map(|(resource, id)| Some((*resource, (*id)?))) {
        match office.store.sees(resource, id, call.scope()).await? {
            Some(true) => {}
            Some(false) => return Err(Answer::unauthorised().into()),
            None => {
                let path = resource.path(id);
                return Err(
                    Answer::bad(&format!("Could not find the provided object via resource URI '{path}'.")).into()
                );
            }
        }
    }
    Ok(())
}
