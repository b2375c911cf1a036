//! Finds what somebody names: a job or a worker by its title or id, a run by its id.

use super::answer::OperatorRefusal;
use crate::run::RunId;
use crate::server::domain::model::{JobId, WorkerId};
use crate::server::state::AppState;
use crate::wire::reference::Reference;

/// How many jobs or workers of one title a refusal names.
const NAMESAKES: u32 = 10;

/// A job to change or to run, by its title where there is only one of it, or by its id. A title means no ad-hoc run.
pub(super) async fn find_job(app: &AppState, name: &str) -> Result<JobId, OperatorRefusal> {
    if let Some(job) = known_job(app, name).await? {
        return Ok(job);
    }
    Err(OperatorRefusal::NotFound(match app.store.ad_hoc_of_title(name).await? {
        Some(_) => {
            format!("there is no job {name:?}: a script of that name was run ad hoc; `job add` makes a job of one")
        }
        None => format!("there is no job {name:?}"),
    }))
}

/// A job to look at, as [`find_job`]; where there is none of the title, that of its latest ad-hoc run.
pub(super) async fn find_job_or_ad_hoc(app: &AppState, name: &str) -> Result<JobId, OperatorRefusal> {
    if let Some(job) = known_job(app, name).await? {
        return Ok(job);
    }
    let found = app.store.ad_hoc_of_title(name).await?;
    found.ok_or_else(|| OperatorRefusal::NotFound(format!("there is no job {name:?}, and no ad-hoc run of that name")))
}

async fn known_job(app: &AppState, name: &str) -> Result<Option<JobId>, OperatorRefusal> {
    let reference = Reference::parse(name);
    if !matches!(reference, Reference::Id(_)) {
        let found = app.store.jobs_of_title(name, NAMESAKES).await?;
        if let Some(job) = only("jobs", name, &found).map_err(OperatorRefusal::Conflict)? {
            return Ok(Some(job));
        }
    }
    match reference.id().and_then(JobId::new) {
        Some(id) => Ok(app.store.job(id).await?.map(|job| job.id)),
        None => Ok(None),
    }
}

/// A worker by its title or key where there is only one of it, or by its id; or why there is none.
pub(super) async fn find_worker(app: &AppState, name: &str) -> Result<Result<WorkerId, String>, OperatorRefusal> {
    let reference = Reference::parse(name);
    if !matches!(reference, Reference::Id(_)) {
        let found = app.store.workers_named(name, NAMESAKES).await?;
        match only("workers", name, &found) {
            Ok(None) => {}
            Ok(Some(worker)) => return Ok(Ok(worker)),
            Err(several) => return Ok(Err(several)),
        }
    }
    Ok(match reference.id().and_then(WorkerId::new) {
        Some(id) if app.store.overview_of_worker(id).await?.is_some() => Ok(id),
        _ => Err(format!("there is no worker {name:?}")),
    })
}

/// The only one that has a name, if any has it; or which there are.
fn only<T: Copy + std::fmt::Display>(what: &str, name: &str, found: &[T]) -> Result<Option<T>, String> {
    match found {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        _ => {
            let ids: Vec<_> = found.iter().map(|id| format!("#{id}")).collect();
            Err(format!("there are several {what} {name:?}: say which by its id, {}", ids.join(", ")))
        }
    }
}

/// A run's id.
pub(super) fn run_id(text: &str) -> Result<RunId, OperatorRefusal> {
    let id = Reference::parse(text).id().and_then(RunId::new);
    id.ok_or_else(|| OperatorRefusal::Malformed(format!("{text:?} is no run; write its id, like 12 or #12")))
}
