//! Lookup of what a request names: a job or a worker by its title or id, a run by its id; a project, template or pool by its title.

use super::refusal::OperatorRefusal;
use crate::run::RunId;
use crate::server::domain::model::{JobId, WorkerId};
use crate::server::domain::title::{Title, TitleViolation};
use crate::server::state::AppState;
use crate::server::store::EntityName;
use crate::wire::operator::DEFAULT;
use crate::wire::reference::Reference;

/// Maximum number of ids of jobs or workers with the same title that a refusal lists.
const NAMESAKES: u32 = 10;

/// Finds a job to change or to run, by its title where there is only one of it, or by its id. The title of an ad-hoc
/// run does not count.
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

/// Finds a job to show, as [`find_job`]; where no job has the title, the job of the latest ad-hoc run with it.
pub(super) async fn find_job_or_ad_hoc(app: &AppState, name: &str) -> Result<JobId, OperatorRefusal> {
    if let Some(job) = known_job(app, name).await? {
        return Ok(job);
    }
    let found = app.store.ad_hoc_of_title(name).await?;
    found.ok_or_else(|| OperatorRefusal::NotFound(format!("there is no job {name:?}, and no ad-hoc run of that name")))
}

async fn known_job(app: &AppState, name: &str) -> Result<Option<JobId>, OperatorRefusal> {
    let reference = Reference::parse(name);
    // A title comes before an id, so that a job titled `5` can be named.
    if !matches!(reference, Reference::Id(_)) {
        let found = app.store.jobs_of_title(name, NAMESAKES).await?;
        if let Some(job) = only_match("jobs", name, &found).map_err(OperatorRefusal::Conflict)? {
            return Ok(Some(job));
        }
    }
    match reference.id().and_then(JobId::new) {
        Some(id) => Ok(app.store.job(id).await?.map(|job| job.id)),
        None => Ok(None),
    }
}

/// Finds a worker by its title or key where there is only one of it, or by its id; the inner `Err` says why there is
/// none.
pub(super) async fn find_worker(app: &AppState, name: &str) -> Result<Result<WorkerId, String>, OperatorRefusal> {
    let reference = Reference::parse(name);
    if !matches!(reference, Reference::Id(_)) {
        let found = app.store.workers_named(name, NAMESAKES).await?;
        match only_match("workers", name, &found) {
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

/// Returns the only match, `None` without one, and a sentence with all ids where there are several.
fn only_match<T: Copy + std::fmt::Display>(what: &str, name: &str, found: &[T]) -> Result<Option<T>, String> {
    match found {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        _ => {
            let ids: Vec<_> = found.iter().map(|id| format!("#{id}")).collect();
            Err(format!("there are several {what} {name:?}: say which by its id, {}", ids.join(", ")))
        }
    }
}

/// Parses the id of a run: `12` or `#12`.
pub(super) fn run_id(text: &str) -> Result<RunId, OperatorRefusal> {
    let id = Reference::parse(text).id().and_then(RunId::new);
    id.ok_or_else(|| OperatorRefusal::Malformed(format!("{text:?} is no run; write its id, like 12 or #12")))
}

/// Returns the named project, template or pool, or the default where none is named.
pub(super) fn place_name(text: Option<&str>, named: fn(Title) -> EntityName) -> Result<EntityName, TitleViolation> {
    text.map_or_else(|| Ok(EntityName::Default(Title::fixed(DEFAULT))), |text| Title::new(text).map(named))
}
