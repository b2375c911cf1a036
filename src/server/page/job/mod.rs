//! A job: what it did and will do, why it does not, and what can be done about it.

mod chain;
mod forecast;
mod highlight;
mod history;
#[cfg(test)]
pub(super) mod sample;
pub(super) mod view;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use chrono::Utc;

use super::answer::Refusal;
use super::form::Filled;
use super::frame::{Head, Section};
use super::notice::Notice;
use super::visit::{Actor, Visit};
use crate::server::model::{Asker, JobId};
use crate::server::office::Office;
use crate::server::{operator, rules};
use view::{Portrait, Viewer};

/// How many runs that are over are shown.
const PAST: u32 = 100;

/// The page.
pub(super) async fn page(
    State(office): State<Arc<Office>>,
    Path(job): Path<String>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let portrait = portrait(&office, &job).await?;
    let head =
        Head { title: &portrait.overview.job.title, section: Section::Jobs, script: Some("job"), by_project: None };
    Ok(visit.show(head, &view::body(&portrait, viewer(&visit))))
}

/// What of it changes by itself.
pub(super) async fn part(
    State(office): State<Arc<Office>>,
    Path(job): Path<String>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let portrait = portrait(&office, &job).await?;
    Ok(Html(view::parts(&portrait, viewer(&visit))).into_response())
}

/// Makes a run that is due now.
pub(super) async fn run(
    State(office): State<Arc<Office>>,
    Path(job): Path<String>,
    Actor(session): Actor,
    form: Filled,
) -> Result<Response, Refusal> {
    let id = known(&office, &job).await?;
    let run = office.store.run_now(id, form.ticked("children"), Asker::Dashboard, Utc::now()).await?;
    Ok(Notice::done(format!("Run {} is due now.", run.id)).at(&office, &session, &format!("/runs/{}", run.id)))
}

/// Lets it run when it is due.
pub(super) async fn enable(
    State(office): State<Arc<Office>>,
    Path(job): Path<String>,
    Actor(session): Actor,
    _: Filled,
) -> Result<Response, Refusal> {
    let id = known(&office, &job).await?;
    office.store.enable_job(id, true, "").await?;
    Ok(Notice::done("The job is enabled.").at(&office, &session, &format!("/jobs/{id}")))
}

/// Lets it not, for a reason.
pub(super) async fn disable(
    State(office): State<Arc<Office>>,
    Path(job): Path<String>,
    Actor(session): Actor,
    form: Filled,
) -> Result<Response, Refusal> {
    let id = known(&office, &job).await?;
    let notice = match rules::reason(form.text("reason").unwrap_or_default()) {
        Ok(reason) => {
            office.store.enable_job(id, false, reason).await?;
            Notice::done("The job is disabled.")
        }
        Err(broken) => Notice::refused(format!("Not disabled: {broken}.")),
    };
    Ok(notice.at(&office, &session, &format!("/jobs/{id}")))
}

fn viewer(visit: &Visit) -> Viewer<'_> {
    Viewer { form_token: &visit.form_token, zone: visit.zone, now: Utc::now() }
}

fn id(text: &str) -> Result<JobId, Refusal> {
    text.parse().ok().and_then(JobId::new).ok_or_else(|| unknown(text))
}

fn unknown(job: &str) -> Refusal {
    Refusal::NotFound(format!("There is no job {job}."))
}

async fn known(office: &Office, job: &str) -> Result<JobId, Refusal> {
    let id = id(job)?;
    office.store.job(id).await?.map(|job| job.id).ok_or_else(|| unknown(job))
}

async fn portrait(office: &Office, job: &str) -> Result<Portrait, Refusal> {
    let id = id(job)?;
    let store = &office.store;
    let mut overview = store.overview_of_job(id).await?.ok_or_else(|| unknown(job))?;
    overview.job = store.job(id).await?.ok_or_else(|| unknown(job))?;
    let template = store.template(overview.job.template).await?.ok_or_else(|| unknown(job))?;
    let (reasons, facts) = operator::reasons(office, &overview, Utc::now()).await?;
    Ok(Portrait {
        template,
        reasons,
        facts,
        past: store.past_runs(id, PAST).await?,
        family: store.family(id).await?,
        course: store.course(id).await?,
        overview,
    })
}
