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
use axum::http::StatusCode;
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
use crate::wire::reference;
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
    Ok(shown(&visit, &portrait, ""))
}

/// What of it changes by itself.
pub(super) async fn part(
    State(office): State<Arc<Office>>,
    Path(job): Path<String>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let portrait = portrait(&office, &job).await?;
    Ok(Html(view::parts(&portrait, viewer(&visit, ""))).into_response())
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
    Ok(Notice::done(format!("Run {} was asked for.", run.id)).at(&office, &session, &format!("/runs/{}", run.id)))
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
    Ok(Notice::done("The job was enabled.").at(&office, &session, &format!("/jobs/{id}")))
}

/// Lets it not, for a reason.
pub(super) async fn disable(
    State(office): State<Arc<Office>>,
    Path(job): Path<String>,
    mut visit: Visit,
    Actor(session): Actor,
    form: Filled,
) -> Result<Response, Refusal> {
    let id = known(&office, &job).await?;
    let typed = form.text("reason").unwrap_or_default();
    match rules::reason(typed) {
        Ok(reason) => {
            office.store.enable_job(id, false, reason).await?;
            Ok(Notice::done("The job was disabled.").at(&office, &session, &format!("/jobs/{id}")))
        }
        Err(broken) => {
            // With what was typed, so that it can be made shorter.
            visit.notice = Some(Notice::refused(format!("Not disabled: {broken}.")));
            let page = shown(&visit, &portrait(&office, &job).await?, typed);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

fn viewer<'a>(visit: &'a Visit, typed: &'a str) -> Viewer<'a> {
    Viewer { form_token: &visit.form_token, zone: visit.zone, now: Utc::now(), typed }
}

fn shown(visit: &Visit, portrait: &Portrait, typed: &str) -> Response {
    let title = &portrait.overview.job.title;
    let head = Head { title, section: Section::Jobs, script: Some("job"), by_project: None };
    visit.show(head, &view::body(portrait, viewer(visit, typed)))
}

fn id(text: &str) -> Result<JobId, Refusal> {
    reference::number(text).and_then(JobId::new).ok_or_else(|| unknown(text))
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
