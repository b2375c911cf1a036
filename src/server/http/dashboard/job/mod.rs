//! Page of a job: shows what it did and will do and why it does not run, and offers to run, enable or disable it.

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

use super::form::FormValues;
use super::frame::{Head, Section};
use super::notice::Notice;
use super::refusal::PageRefusal;
use super::visit::{SignedIn, Visit};
use crate::server::domain::model::{Asker, JobId};
use crate::server::domain::rules;
use crate::server::http::operator;
use crate::server::state::AppState;
use crate::wire::reference;
use view::{JobPage, Viewer};

/// Finished runs that are shown.
const PAST: u32 = 100;

/// Handler of `/jobs/{job}`: shows the whole page.
pub(super) async fn page(
    State(app): State<Arc<AppState>>,
    Path(job): Path<String>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let page = load_page(&app, &job).await?;
    Ok(render_page(&visit, &page, ""))
}

/// Handler of `/parts/jobs/{job}`: renders the parts that the script fetches again after changes.
pub(super) async fn part(
    State(app): State<Arc<AppState>>,
    Path(job): Path<String>,
    visit: Visit,
) -> Result<Response, PageRefusal> {
    let page = load_page(&app, &job).await?;
    Ok(Html(view::parts(&page, viewer(&visit, ""))).into_response())
}

/// Handler of the form "run now": makes a run that is due at once.
pub(super) async fn run(
    State(app): State<Arc<AppState>>,
    Path(job): Path<String>,
    SignedIn(session): SignedIn,
    form: FormValues,
) -> Result<Response, PageRefusal> {
    let id = existing_job(&app, &job).await?;
    let run = app.store.enqueue_run_now(id, form.ticked("children"), Asker::Dashboard, Utc::now()).await?;
    Ok(Notice::done(format!("Run {} requested.", run.id)).at(&app, &session, &format!("/runs/{}", run.id)))
}

/// Handler of the form that enables a job.
pub(super) async fn enable(
    State(app): State<Arc<AppState>>,
    Path(job): Path<String>,
    SignedIn(session): SignedIn,
    _: FormValues,
) -> Result<Response, PageRefusal> {
    let id = existing_job(&app, &job).await?;
    app.store.enable_job(id, true, "").await?;
    Ok(Notice::done("The job was enabled.").at(&app, &session, &format!("/jobs/{id}")))
}

/// Handler of the form that disables a job, for a reason.
pub(super) async fn disable(
    State(app): State<Arc<AppState>>,
    Path(job): Path<String>,
    mut visit: Visit,
    SignedIn(session): SignedIn,
    form: FormValues,
) -> Result<Response, PageRefusal> {
    let id = existing_job(&app, &job).await?;
    let typed = form.text("reason").unwrap_or_default();
    match rules::reason(typed) {
        Ok(reason) => {
            app.store.enable_job(id, false, reason).await?;
            Ok(Notice::done("The job was disabled.").at(&app, &session, &format!("/jobs/{id}")))
        }
        Err(broken) => {
            // The page is shown again with what was typed, so that it can be shortened.
            visit.notice = Some(Notice::refused(format!("Not disabled: {broken}.")));
            let page = render_page(&visit, &load_page(&app, &job).await?, typed);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

fn viewer<'a>(visit: &'a Visit, typed: &'a str) -> Viewer<'a> {
    Viewer { form_token: &visit.form_token, zone: visit.zone, now: Utc::now(), typed }
}

fn render_page(visit: &Visit, page: &JobPage, typed: &str) -> Response {
    let title = &page.overview.job.title;
    let head = Head { title, section: Section::Jobs, script: Some("job"), by_project: None };
    visit.show(head, &view::body(page, viewer(visit, typed)))
}

fn id(text: &str) -> Result<JobId, PageRefusal> {
    reference::number(text).and_then(JobId::new).ok_or_else(|| unknown(text))
}

fn unknown(job: &str) -> PageRefusal {
    PageRefusal::NotFound(format!("There is no job {job}."))
}

async fn existing_job(app: &AppState, job: &str) -> Result<JobId, PageRefusal> {
    let id = id(job)?;
    app.store.job(id).await?.map(|job| job.id).ok_or_else(|| unknown(job))
}

async fn load_page(app: &AppState, job: &str) -> Result<JobPage, PageRefusal> {
    let id = id(job)?;
    let store = &app.store;
    let mut overview = store.overview_of_job(id).await?.ok_or_else(|| unknown(job))?;
    // The overview has no excludes.
    overview.job = store.job(id).await?.ok_or_else(|| unknown(job))?;
    // A template goes with its jobs: without it, the job was deleted between these reads.
    let template = store.template(overview.job.template).await?.ok_or_else(|| unknown(job))?;
    let (reasons, facts) = operator::reasons(app, &overview, Utc::now()).await?;
    Ok(JobPage {
        template,
        reasons,
        facts,
        finished: store.past_runs(id, PAST).await?,
        family: store.family(id).await?,
        schedule_state: store.schedule_state(id).await?,
        overview,
    })
}
