//! Write calls: create and change entities.
//!
//! Entities that a body names must be visible to the caller, as in the original. Fields that cannot be changed are
//! ignored, as the original ignores fields that it does not know.

mod job;
mod kill;
mod log;
mod run;
mod tell;
mod worker;

use super::ApiCall;
use super::answer::ApiAnswer;
use super::permission::check_write;
use super::read::may_see;
use super::request_body::{BodyFault, Form};
use crate::server::domain::resource::Resource;
use crate::server::state::AppState;
use crate::server::store::StoreError;
pub use tell::tell;

/// Reason why a change was not made.
enum WriteRefusal {
    /// Answer for the caller.
    Answer(ApiAnswer),
    /// Failure of the store, which the caller only hears of in general terms.
    Store(StoreError),
}

impl From<StoreError> for WriteRefusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(what) => Self::Answer(ApiAnswer::bad(&what.to_string())),
            error => Self::Store(error),
        }
    }
}

impl From<ApiAnswer> for WriteRefusal {
    fn from(answer: ApiAnswer) -> Self {
        Self::Answer(answer)
    }
}

impl From<BodyFault> for WriteRefusal {
    fn from(wrong: BodyFault) -> Self {
        Self::Answer(wrong.into())
    }
}

fn answer_of(result: Result<ApiAnswer, WriteRefusal>) -> Result<ApiAnswer, StoreError> {
    match result {
        Ok(answer) | Err(WriteRefusal::Answer(answer)) => Ok(answer),
        Err(WriteRefusal::Store(error)) => Err(error),
    }
}

/// Creates an entity of a resource.
pub async fn create(app: &AppState, resource: Resource, call: &ApiCall<'_>) -> Result<ApiAnswer, StoreError> {
    answer_of(try_create(app, resource, call).await)
}

async fn try_create(app: &AppState, resource: Resource, call: &ApiCall<'_>) -> Result<ApiAnswer, WriteRefusal> {
    check_write(call, app.settings.worker_writes(), resource, None)?;
    let form = Form::read(call.body, call.kind, app.settings.time_zone)?;
    match resource {
        Resource::Run => run::create(app, &form, call).await,
        Resource::RunLog => log::create(app, &form, call).await,
        Resource::KillRequest => kill::create(app, &form, call).await,
        Resource::Job => job::create(app, &form, call).await,
        // Not reached: the methods of these resources were checked with the path.
        _ => Ok(ApiAnswer::not_allowed(resource.list_methods())),
    }
}

/// Changes an entity of a resource.
pub async fn change(app: &AppState, resource: Resource, id: &str, call: &ApiCall<'_>) -> Result<ApiAnswer, StoreError> {
    answer_of(try_change(app, resource, id, call).await)
}

async fn try_change(
    app: &AppState,
    resource: Resource,
    id: &str,
    call: &ApiCall<'_>,
) -> Result<ApiAnswer, WriteRefusal> {
    let id = may_see(app, resource, id, call).await??;
    check_write(call, app.settings.worker_writes(), resource, Some(id))?;
    let form = Form::read(call.body, call.kind, app.settings.time_zone)?;
    match resource {
        Resource::Run => run::change(app, id, &form, call).await,
        Resource::RunLog => log::change(app, id, &form, call).await,
        Resource::KillRequest => kill::change(app, id, &form, call).await,
        Resource::Job => job::change(app, id, &form, call).await,
        Resource::Worker => worker::change(app, id, &form, call).await,
        // Not reached, as above.
        _ => Ok(ApiAnswer::not_allowed(resource.detail_methods())),
    }
}

/// Refuses a body that names entities which do not exist, or which the caller may not see.
async fn check_visible(
    app: &AppState,
    call: &ApiCall<'_>,
    named: &[(Resource, Option<i64>)],
) -> Result<(), WriteRefusal> {
    for (resource, id) in named.iter().filter_map(|(resource, id)| Some((*resource, (*id)?))) {
        match app.store.sees(resource, id, call.scope()).await? {
            Some(true) => {}
            Some(false) => return Err(ApiAnswer::unauthorised().into()),
            None => {
                let path = resource.path(id);
                return Err(
                    ApiAnswer::bad(&format!("Could not find the provided object via resource URI '{path}'.")).into()
                );
            }
        }
    }
    Ok(())
}
