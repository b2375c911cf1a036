//! Write permissions: decides which changes a verified caller may make through the REST API. Pure.
//!
//! In the original the secret of a worker is as good as a person's account: it creates jobs and changes the scripts of
//! the worker's pools. A worker needs none of that, so [`WorkerWrites::Own`] confines it to the runs it executes.

use super::ApiCall;
use super::answer::ApiAnswer;
use crate::server::domain::resource::Resource;
use crate::server::identity::auth::Identity;
use crate::server::settings::WorkerWrites;

#[cfg(test)]
mod tests;

/// Refuses a change that the caller may not make; `id` is the path's, and absent where an entity is created.
pub fn check_write(
    call: &ApiCall<'_>,
    writes: WorkerWrites,
    resource: Resource,
    id: Option<i64>,
) -> Result<(), ApiAnswer> {
    let Identity::Worker(worker) = call.identity else { return Ok(()) };
    if writes == WorkerWrites::Original || is_needed(call.method, resource, id == Some(worker.id.get())) {
        return Ok(());
    }
    let what = format!("a worker may not {} a {} (worker_writes = own)", call.method, resource.name());
    Err(ApiAnswer::forbidden(&what))
}

/// Returns whether a worker needs this change to execute runs. The store checks that the run, log or kill request is
/// the worker's own.
fn is_needed(method: &str, resource: Resource, is_itself: bool) -> bool {
    match (method, resource) {
        ("PATCH", Resource::Run | Resource::RunLog | Resource::KillRequest) | ("POST", Resource::RunLog) => true,
        ("PATCH", Resource::Worker) => is_itself,
        _ => false,
    }
}
